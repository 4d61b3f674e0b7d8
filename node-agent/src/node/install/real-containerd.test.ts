// SPDX-License-Identifier: Apache-2.0
// The installer's files as real containerds read them, 1.7 and 2.x: `config dump` before, with the handler, and after.
import { execFileSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { eachContainerd } from '../../testing/containerds.ts';
import { Host, type RunOptions, type RunResult } from '../host/host.ts';
import { binaryOf, readConfigFile, runtimesOf } from './containerd-config.ts';
import { addHandler, removeHandler, type RuntimeParts } from './runtime-handler.ts';

const options = { handler: 'sealift', binary: '/opt/sealift/bin/sealift-runc' };
const CRI2 = 'plugins."io.containerd.grpc.v1.cri"';
const CRI3 = "plugins.'io.containerd.cri.v1.runtime'";

/** Main files, and drop-ins beside them. `major`: of the containerds that take it. */
const layouts: { name: string; main?: string; dropIns?: Record<string, string>; major?: number }[] =
  [
    { name: 'an empty file', main: '' },
    {
      name: 'version 2 that names no runtime: the one of Debian',
      main: `version = 2\n\n[plugins]\n  [${CRI2}]\n    [${CRI2}.cni]\n      bin_dir = "/usr/lib/cni"\n      conf_dir = "/etc/cni/net.d"\n`,
    },
    { name: 'no version', main: '[debug]\n  level = "info"\n' },
    { name: 'version 1', main: 'version = 1\n[plugins.cri]\n  sandbox_image = "own/pause:1"\n' },
    {
      name: 'version 2, dotted keys, Windows line ends, no last line end',
      main: `version = 2\r\n${CRI2}.sandbox_image = "own/pause:1"\r\n${CRI2}.containerd.runtimes.runc.options.SystemdCgroup = true`,
    },
    {
      name: 'version 2 that imports, nvidia by default',
      main: `version = 2\nimports = ["conf.d/*.toml"]\n[${CRI2}]\n  sandbox_image = "own/pause:1"\n[${CRI2}.containerd]\n  default_runtime_name = "nvidia"\n[${CRI2}.containerd.runtimes.nvidia]\n  runtime_type = "io.containerd.runc.v2"\n  base_runtime_spec = "/etc/containerd/base.json"\n[${CRI2}.containerd.runtimes.nvidia.options]\n  BinaryName = "/usr/bin/nvidia-container-runtime"\n  SystemdCgroup = true\n[${CRI2}.registry]\n  config_path = "/etc/containerd/certs.d"\n`,
    },
    {
      name: 'version 2 with a drop-in of somebody else',
      main: 'version = 2\nimports = ["conf.d/*.toml"]\n',
      dropIns: { '99-their.toml': `version = 2\n[debug]\n  level = "warn"\n` },
    },
    {
      name: 'version 3 that imports',
      main: `version = 3\nimports = ['conf.d/[0-9]*.toml']\n[${CRI3}.containerd.runtimes.runc.options]\n  SystemdCgroup = true\n`,
      major: 2,
    },
    {
      name: 'version 3 that imports nothing',
      main: `version = 3\nimports = []\n[plugins.'io.containerd.cri.v1.images'.pinned_images]\n  sandbox = 'own/pause:1'\n`,
      major: 2,
    },
    {
      name: 'version 4 that imports',
      main: `version = 4\nimports = ['conf.d/*.toml']\n`,
      major: 2,
    },
  ];

/** Containerd is the real one; systemd is not asked. */
class NodeWithContainerd extends Host {
  restarts = 0;
  override async check(
    program: string,
    args: readonly string[],
    o: RunOptions = {},
  ): Promise<string> {
    if (program !== 'systemctl') return super.check(program, args, o);
    if (args[0] === 'restart') this.restarts++;
    return '';
  }
  override async run(
    program: string,
    args: readonly string[],
    o: RunOptions = {},
  ): Promise<RunResult> {
    if (program !== 'systemctl') return super.run(program, args, o);
    return { status: 0, stdout: '', stderr: '' };
  }
}

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'containerd-'));
});
afterEach(() => rm(dir, { recursive: true }));

/** Every file of the directory with its text. */
async function files(): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const one of await readdir(dir, { recursive: true, withFileTypes: true })) {
    const path = join(one.parentPath, one.name);
    found[path] = one.isFile() ? await readFile(path, 'utf8') : 'a directory';
  }
  return found;
}

/** With the imported files in an order: containerd 1.7 dumps them in that of a Go map. */
function withSortedImports(values: ReadonlyMap<string, string>): Map<string, unknown> {
  const files = values.get('imports')?.split(/[\[\], ]+/);
  return new Map<string, unknown>(values).set('imports', files?.sort());
}

eachContainerd()('containerd %s', { timeout: 60_000 }, (version, program) => {
  const major = Number(/\d/.exec(version)?.[0]);
  const dump = (mainFile: string): string =>
    execFileSync(program, ['--config', mainFile, 'config', 'dump'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  const prepare = async (main: string, dropIns: Record<string, string> = {}) => {
    const mainFile = join(dir, 'config.toml');
    await writeFile(mainFile, main);
    for (const [name, text] of Object.entries(dropIns)) {
      await mkdir(join(dir, 'conf.d'), { recursive: true });
      await writeFile(join(dir, 'conf.d', name), text);
    }
    const host = new NodeWithContainerd({ root: '/' });
    const runDir = await mkdtemp(join(tmpdir(), 'containerd-run-'));
    const parts: RuntimeParts = {
      ...{
        host,
        runDir,
        stateDir: runDir,
        alone: (work) => work(),
        answers: async () => undefined,
      },
      containerd: { pid: 1, program, mainFile, unit: 'containerd.service' },
    };
    return { host, mainFile, parts };
  };

  it.each(layouts.filter((one) => (one.major ?? major) <= major))(
    'takes the handler beside everything else of $name, and loses it again',
    async ({ main = '', dropIns }) => {
      const { host, mainFile, parts } = await prepare(main, dropIns);
      const before = await files();
      const seen = dump(mainFile);
      expect(await addHandler(parts, major, options)).toBe('restarted');
      const after = readConfigFile(dump(mainFile));
      const [old, now] = [runtimesOf(readConfigFile(seen)), runtimesOf(after)];
      expect(binaryOf(after, 'sealift')).toBe(options.binary);
      const usual = old.get('nvidia') ?? old.get('runc');
      for (const same of ['base_runtime_spec', 'privileged_without_host_devices'])
        expect(now.get('sealift')?.settings.get(same)).toBe(usual?.settings.get(same));
      expect(now.get('sealift')?.options.get('SystemdCgroup')).toBe(
        usual?.options.get('SystemdCgroup'),
      );
      const others = [...after.values].filter(([key]) => !/ runtimes sealift( |$)/.test(key));
      expect(withSortedImports(new Map(others))).toEqual(
        withSortedImports(readConfigFile(seen).values),
      );
      expect(await addHandler(parts, major, options)).toBe('unchanged');
      expect(host.restarts).toBe(1);
      expect(await removeHandler(parts)).toBe('restarted');
      expect(await files()).toEqual(before);
    },
  );

  /** What an administrator does after an update of containerd: the comments of the file go, and what they enclosed stays. */
  const migrate = async (mainFile: string): Promise<void> => {
    const command = ['--config', mainFile, 'config', major >= 2 ? 'migrate' : 'dump'];
    const said = execFileSync(program, command, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    // The dump of 1.7, which knows no migration, lists the main file among them.
    const text = major >= 2 ? said : said.replace(/^imports = .*\n/m, '');
    expect(text).not.toContain('Sealift');
    await writeFile(mainFile, text);
  };

  it.each(layouts.filter((one) => (one.major ?? major) <= major))(
    'loses the handler of $name and nothing else, after containerd itself has written the file anew',
    async ({ main = '', dropIns }) => {
      const { host, mainFile, parts } = await prepare(main, dropIns);
      await addHandler(parts, major, options);
      await migrate(mainFile);
      const seen = readConfigFile(dump(mainFile));
      expect(binaryOf(seen, 'sealift')).toBe(options.binary);
      // As it is at the next start of the agent.
      await addHandler(parts, major, options);
      expect(await removeHandler(parts)).toBe('restarted');
      const after = readConfigFile(dump(mainFile));
      expect([...runtimesOf(after).keys()]).not.toContain('sealift');
      const others = [...seen.values].filter(([key]) => !/ runtimes sealift( |$)/.test(key));
      expect(withSortedImports(new Map(others))).toEqual(withSortedImports(after.values));
      expect(await readFile(mainFile, 'utf8')).not.toContain('sealift');
      expect(Object.keys(await files()).filter((path) => path.includes('sealift'))).toEqual([]);
      expect(host.restarts).toBe(2);
    },
  );

  it('keeps a handler that somebody else has put there, with the same program', async () => {
    const section = major >= 2 ? CRI3 : CRI2;
    const main = `version = ${major >= 2 ? 3 : 2}\n[${section}.containerd.runtimes.sealift]\n  runtime_type = 'io.containerd.runc.v2'\n[${section}.containerd.runtimes.sealift.options]\n  BinaryName = '${options.binary}'\n[${section}.containerd.runtimes.runc]\n  runtime_type = 'io.containerd.runc.v2'\n`;
    const { host, parts } = await prepare(main);
    const before = await files();
    expect(await addHandler(parts, major, options)).toBe('present');
    expect(await removeHandler(parts)).toBe('unchanged');
    expect(await files()).toEqual(before);
    expect(host.restarts).toBe(0);
  });

  it('says so where the handler has a form that it does not take out', async () => {
    const { host, mainFile, parts } = await prepare('');
    await addHandler(parts, major, options);
    const section = major >= 2 ? CRI3 : CRI2;
    const runtime = `{ runtime_type = "io.containerd.runc.v2", options = { BinaryName = "${options.binary}" } }`;
    const inline = `version = ${major >= 2 ? 3 : 2}\n[${section}.containerd]\n  runtimes = { runc = { runtime_type = "io.containerd.runc.v2" }, sealift = ${runtime} }\n`;
    await writeFile(mainFile, inline);
    await expect(removeHandler(parts)).rejects.toMatchObject({
      code: 'HandlerLeft',
      message: expect.stringContaining(mainFile) as string,
    });
    expect(await readFile(mainFile, 'utf8')).toBe(inline);
    expect(host.restarts).toBe(1);
  });

  it.each([
    ['no TOML', 'version = 2\n[plugins\n', 'before Sealift has changed anything'],
    ['an unknown version', 'version = 99\n', 'before Sealift has changed anything'],
    [
      'a form that cannot be added to',
      `version = 2\n[${CRI2}.containerd]\n  runtimes = { mine = { runtime_type = "io.containerd.runc.v2" } }\n`,
      'RuntimeFailed',
    ],
    [
      'a handler of that name in that form',
      `version = 2\n[${CRI2}.containerd]\n  runtimes = { sealift = { runtime_type = "io.containerd.runc.v2", options = { BinaryName = "/usr/bin/runsc" } } }\n`,
      '/usr/bin/runsc',
    ],
  ])('is left alone with %s', async (_, main, expected) => {
    const { host, parts } = await prepare(main);
    const before = await files();
    const error = await addHandler(parts, major, options).catch((thrown: unknown) => thrown);
    expect(`${(error as { code?: string }).code} ${String(error)}`).toContain(expected);
    expect(await files()).toEqual(before);
    expect(host.restarts).toBe(0);
  });

  it.runIf(major >= 2)('says so if another drop-in overrides the handler', async () => {
    const main = `version = 3\nimports = ['conf.d/50*.toml', 'conf.d/9*.toml']\n`;
    const { host, mainFile, parts } = await prepare(main);
    await addHandler(parts, major, options);
    const theirs = join(dir, 'conf.d', '99-their.toml');
    await writeFile(
      theirs,
      `version = 3\n[${CRI3}.containerd.runtimes.sealift.options]\n  BinaryName = '/usr/bin/runsc'\n`,
    );
    expect(binaryOf(readConfigFile(dump(mainFile)), 'sealift')).toBe('/usr/bin/runsc');
    await expect(addHandler(parts, major, options)).rejects.toMatchObject({
      code: 'HandlerTaken',
    });
    expect(host.restarts).toBe(1);
  });

  it('keeps a link to a file elsewhere', async () => {
    const { parts, mainFile } = await prepare('');
    const real = join(dir, 'store', 'config.toml');
    await mkdir(dirname(real));
    await cp(mainFile, real);
    await rm(mainFile);
    const { symlink, lstat } = await import('node:fs/promises');
    await symlink(real, mainFile);
    // A host whose root is another directory follows links itself.
    const host = new (class extends NodeWithContainerd {
      override path = (onHost: string): string => (onHost === mainFile ? real : super.path(onHost));
    })({ root: '/' });
    expect(await addHandler({ ...parts, host }, major, options)).toBe('restarted');
    expect((await lstat(mainFile)).isSymbolicLink()).toBe(true);
    expect(await readFile(real, 'utf8')).toContain('runtimes.sealift');
  });
});
