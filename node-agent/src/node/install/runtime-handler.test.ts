// SPDX-License-Identifier: Apache-2.0
// Over real files in a directory that stands for the node's root. Programs of the node are recorded, and answered as
// containerd would.
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentError } from '../../support/errors.ts';
import { Host, type RunResult } from '../host/host.ts';
import {
  addHandler,
  configuredHandler,
  removeHandler,
  type RuntimeParts,
} from './runtime-handler.ts';

const options = { handler: 'sealift', binary: '/opt/sealift/bin/sealift-runc' };
const MAIN = '/etc/containerd/config.toml';
const DROP_IN = '/etc/containerd/conf.d/50-sealift.toml';
const version2 = `version = 2\n[plugins."io.containerd.grpc.v1.cri"]\n  sandbox_image = "x"\n`;
const version3 = `version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n`;

let root = '';
let did: string[];
/** What the next call of a program throws. */
let failing: string | undefined;

/** What systemd says of containerd's unit. */
let killMode: string;

/** Dumps all files of the configuration, one after another, as far as that matters here. */
class NodeOfFiles extends Host {
  constructor() {
    super({ root });
  }
  override async check(program: string, args: readonly string[]): Promise<string> {
    const command = [program, ...args].join(' ');
    did.push(command);
    if (failing !== undefined && command.includes(failing))
      throw new AgentError('RuntimeFailed', `${failing} failed`);
    if (args[0] === 'show') return `KillMode=${killMode}\n`;
    if (args.at(-1) !== 'dump') return '';
    const main = args[0] === '--config' ? (args[1] ?? '') : MAIN;
    const files = [main, DROP_IN].map((path) => readFile(this.path(path), 'utf8').catch(() => ''));
    const texts = await Promise.all(files);
    // As containerd does, it says everything in its own version.
    return `version = 4\n${texts
      .join('\n')
      .replaceAll(/^version.*$/gm, '')
      .replaceAll(/grpc.v1.cri/g, 'cri.v1.runtime')}`;
  }
  override async run(program: string, args: readonly string[]): Promise<RunResult> {
    return { status: 0, stdout: await this.check(program, args), stderr: '' };
  }
}

let parts: RuntimeParts;
const put = async (path: string, text: string): Promise<void> => {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
};
const read = (path: string): Promise<string> => readFile(join(root, path), 'utf8');
const isConfigured = async (): Promise<boolean> =>
  (await configuredHandler(parts.host, MAIN, 'sealift')).present;
const restarts = (): number =>
  did.filter((line) => line === 'systemctl restart containerd.service').length;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'handler-'));
  did = [];
  failing = undefined;
  killMode = 'process';
  parts = {
    host: new NodeOfFiles(),
    containerd: {
      pid: 1,
      program: '/usr/bin/containerd',
      mainFile: MAIN,
      unit: 'containerd.service',
    },
    runDir: join(root, 'run/sealift'),
    stateDir: join(root, 'var/lib/sealift'),
    async answers() {
      did.push('answers');
    },
    async alone(work) {
      did.push('lease');
      await work();
      did.push('released');
    },
  };
});
afterEach(() => rm(root, { recursive: true }));

describe('a node with containerd 1.7', () => {
  beforeEach(() => put(MAIN, version2));

  it('gets the handler once, with one restart under the lease, and loses it again', async () => {
    expect(await addHandler(parts, 1, options)).toBe('restarted');
    expect(did).toEqual([
      `/usr/bin/containerd --config ${MAIN} config dump`,
      `/usr/bin/containerd --config ${MAIN}.sealift-new config dump`,
      'lease',
      'systemctl show --property=KillMode containerd.service',
      `/usr/bin/containerd --config ${MAIN} config dump`,
      'systemctl reset-failed containerd.service',
      'systemctl restart containerd.service',
      'answers',
      'released',
    ]);
    expect(await readdir(join(root, dirname(MAIN)))).toEqual(['config.toml']);
    expect(await isConfigured()).toBe(true);
    expect(await addHandler(parts, 1, options)).toBe('unchanged');
    expect(restarts()).toBe(1);
    expect(await removeHandler(parts)).toBe('restarted');
    expect(await read(MAIN)).toBe(version2);
    expect(await isConfigured()).toBe(false);
    expect(await removeHandler(parts)).toBe('unchanged');
    expect(restarts()).toBe(2);
  });

  it('says that its configuration was refused before, and is not touched', async () => {
    failing = `${MAIN} config dump`;
    await expect(addHandler(parts, 1, options)).rejects.toThrow(
      'refuses its own configuration on this node, before Sealift has changed anything',
    );
    expect(await read(MAIN)).toBe(version2);
    expect(did).toHaveLength(1);
  });

  it('keeps its configuration if containerd refuses the new one: that has not been in its place for a moment', async () => {
    failing = '.sealift-new config dump';
    await expect(addHandler(parts, 1, options)).rejects.toThrow('config dump failed');
    expect(await read(MAIN)).toBe(version2);
    expect(await readdir(join(root, dirname(MAIN)))).toEqual(['config.toml']);
    expect(did.filter((one) => !one.includes('dump'))).toEqual([]);
  });

  it('runs with its old configuration if it does not start with the new one', async () => {
    const seen: boolean[] = [];
    parts = {
      ...parts,
      host: new (class extends NodeOfFiles {
        override async check(program: string, args: readonly string[]): Promise<string> {
          if (args[0] === 'restart') {
            did.push('restart');
            const withHandler = (await read(MAIN)).includes('sealift');
            seen.push(withHandler);
            if (withHandler) throw new AgentError('RuntimeFailed', 'no start.');
            return '';
          }
          return super.check(program, args);
        }
      })(),
    };
    await expect(addHandler(parts, 1, options)).rejects.toThrow('It runs with the old one again');
    expect(seen).toEqual([true, false]);
    expect(await read(MAIN)).toBe(version2);
    expect(await readdir(join(root, 'run/sealift'))).toEqual([]);
  });

  it('runs with its old configuration if it does not serve the kubelet with the new one', async () => {
    const without = async (): Promise<void> => {
      if ((await read(MAIN)).includes('sealift'))
        throw new AgentError('RuntimeFailed', 'no CRI plugin.');
    };
    await expect(addHandler({ ...parts, answers: without }, 1, options)).rejects.toThrow(
      'no CRI plugin. It runs with the old one again',
    );
    expect([await read(MAIN), restarts()]).toEqual([version2, 2]);
  });

  it('says so if it does not start with its old configuration, either', async () => {
    failing = 'restart';
    await expect(addHandler(parts, 1, options)).rejects.toThrow('neither with Sealift');
    expect(await read(MAIN)).toBe(version2);
    failing = undefined;
    expect(await addHandler(parts, 1, options)).toBe('restarted');
  });

  it('is left alone if a restart would end its containers', async () => {
    killMode = 'control-group';
    await expect(addHandler(parts, 1, options)).rejects.toMatchObject({
      code: 'RuntimeUnsupported',
      message: expect.stringContaining('KillMode=process') as string,
    });
    expect(await read(MAIN)).toBe(version2);
    expect(restarts()).toBe(0);
  });

  it('is left alone if it keeps its containers elsewhere', async () => {
    await put(
      MAIN,
      `${version2}`.replace('version = 2\n', "version = 2\nstate = '/run/k3s/containerd'\n"),
    );
    await expect(addHandler(parts, 1, options)).rejects.toMatchObject({
      code: 'RuntimeUnsupported',
      message: expect.stringContaining('/run/k3s/containerd') as string,
    });
  });

  it('is left alone if its configuration cannot be written, and says which file', async () => {
    // A directory of that name is in the way of a new file, as a mount is in the way of a rename.
    await mkdir(join(root, `${MAIN}.sealift-new`));
    await expect(addHandler(parts, 1, options)).rejects.toThrow('EISDIR');
    await rm(join(root, `${MAIN}.sealift-new`), { recursive: true });
    expect(await read(MAIN)).toBe(version2);
    expect(did.filter((one) => !one.includes('dump'))).toEqual([]);
  });

  it('shows a password of its configuration to nobody, not even while it is changed', async () => {
    await chmod(join(root, MAIN), 0o600);
    const modes: number[] = [];
    parts = {
      ...parts,
      host: new (class extends NodeOfFiles {
        override async check(program: string, args: readonly string[]): Promise<string> {
          if (args[1]?.endsWith('.sealift-new'))
            modes.push((await stat(join(root, args[1]))).mode & 0o777);
          return super.check(program, args);
        }
      })(),
    };
    expect(await addHandler(parts, 1, options)).toBe('restarted');
    expect([...modes, (await stat(join(root, MAIN))).mode & 0o777]).toEqual([0o600, 0o600]);
  });

  describe('whose agent was killed between writing and restarting', () => {
    beforeEach(async () => {
      const dead = Promise.withResolvers<void>();
      const dying: RuntimeParts = {
        ...parts,
        host: new (class extends NodeOfFiles {
          override check(program: string, args: readonly string[]): Promise<string> {
            // The process ends here: nothing is undone.
            if (args[0] !== 'reset-failed') return super.check(program, args);
            dead.resolve();
            return new Promise(() => undefined);
          }
        })(),
      };
      void addHandler(dying, 1, options);
      await dead.promise;
      expect(await isConfigured()).toBe(true);
    });

    it('is restarted by the next one', async () => {
      expect(await addHandler(parts, 1, options)).toBe('restarted');
      expect(restarts()).toBe(1);
      expect(await readdir(join(root, 'run/sealift'))).toEqual([]);
    });

    it('goes back to what was there before the first one, if it does not start', async () => {
      failing = 'restart';
      await expect(addHandler(parts, 1, options)).rejects.toThrow('neither with');
      expect(await read(MAIN)).toBe(version2);
    });

    it('keeps what somebody has written since, if it does not start', async () => {
      const edited = `${await read(MAIN)}[debug]\n`;
      await put(MAIN, edited);
      failing = 'restart';
      await expect(addHandler(parts, 1, options)).rejects.toThrow('neither with');
      expect(await read(MAIN)).toBe(edited);
    });
  });

  it('has its old handler replaced by one with other options, and what somebody has written behind it stays', async () => {
    await addHandler(parts, 1, { ...options, binary: '/opt/old/sealift-runc' });
    await put(MAIN, `${await read(MAIN)}[debug]\n`);
    expect(await addHandler(parts, 1, options)).toBe('restarted');
    expect(await read(MAIN)).not.toContain('/opt/old');
    expect(await removeHandler(parts)).toBe('restarted');
    expect(await read(MAIN)).toBe(`${version2}[debug]\n`);
  });

  it('keeps a handler of another name while containers run with it: they could not start again', async () => {
    await addHandler(parts, 1, { ...options, handler: 'before' });
    const bundle = '/run/containerd/io.containerd.runtime.v2.task/k8s.io/aaa/options.json';
    await put(bundle, `{"binary_name":"${options.binary}"}`);
    const kept = await read(MAIN);
    await expect(addHandler(parts, 1, options)).rejects.toMatchObject({ code: 'ContainersLeft' });
    expect([await read(MAIN), restarts()]).toEqual([kept, 1]);
    await rm(join(root, bundle));
    expect(await addHandler(parts, 1, options)).toBe('restarted');
    expect(await read(MAIN)).not.toContain('before');
  });

  it('says so if its handler of that name is another one', async () => {
    const theirs = `${version2}[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.sealift.options]\n  BinaryName = "/usr/bin/kata"\n`;
    await put(MAIN, theirs);
    await expect(addHandler(parts, 1, options)).rejects.toMatchObject({
      code: 'HandlerTaken',
      message: expect.stringContaining('/usr/bin/kata') as string,
    });
    expect(await removeHandler(parts)).toBe('unchanged');
    expect(await read(MAIN)).toBe(theirs);
  });
});

describe('a node with containerd 2.x', () => {
  it('gets a drop-in, and its main file stays as it is', async () => {
    await put(MAIN, version3);
    expect(await addHandler(parts, 2, options)).toBe('restarted');
    expect(await read(MAIN)).toBe(version3);
    expect(await read(DROP_IN)).toContain('runtimes.sealift');
    expect(await addHandler(parts, 2, options)).toBe('unchanged');
    expect(await removeHandler(parts)).toBe('restarted');
    // The installer has made the directory, too.
    expect(await readdir(join(root, dirname(MAIN)))).toEqual(['config.toml']);
  });

  it('keeps an empty directory for drop-ins that was there before, over an update of the agent', async () => {
    await put(MAIN, version3);
    await mkdir(join(root, dirname(DROP_IN)));
    await addHandler(parts, 2, options);
    expect(await addHandler(parts, 2, { ...options, binary: '/opt/other' })).toBe('restarted');
    await removeHandler(parts);
    expect(await readdir(join(root, dirname(DROP_IN)))).toEqual([]);
  });

  it('has the handler in one place after its configuration has changed, and in none after the uninstall', async () => {
    await put(MAIN, version2);
    await addHandler(parts, 1, options);
    // containerd and its configuration are updated; the block stays in it.
    const block = (await read(MAIN))
      .replace(version2, '')
      .replaceAll('grpc.v1.cri', 'cri.v1.runtime');
    await put(MAIN, `${version3}${block}`);
    expect(await addHandler(parts, 2, options)).toBe('restarted');
    expect(await read(MAIN)).toBe(version3);
    expect(await read(DROP_IN)).toContain('sealift');
    // And back again.
    await put(MAIN, version2);
    expect(await addHandler(parts, 1, options)).toBe('restarted');
    await expect(read(DROP_IN)).rejects.toThrow('ENOENT');
    expect(await removeHandler(parts)).toBe('restarted');
    expect(await read(MAIN)).toBe(version2);
  });

  it('without a configuration file has none again afterwards', async () => {
    await mkdir(join(root, dirname(MAIN)), { recursive: true });
    expect(await addHandler(parts, 2, options)).toBe('restarted');
    expect(await removeHandler(parts)).toBe('restarted');
    expect(did[0]).toBe('/usr/bin/containerd config dump');
    expect(await readdir(join(root, dirname(MAIN)))).toEqual([]);
  });

  it('with an empty configuration file has it again afterwards', async () => {
    await put(MAIN, '');
    await addHandler(parts, 2, options);
    await removeHandler(parts);
    expect(await read(MAIN)).toBe('');
  });

  it('keeps a handler that somebody else has put into a drop-in of their own', async () => {
    await put(MAIN, version3);
    const theirs = `version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.sealift.options]\nBinaryName = '${options.binary}'\n`;
    await put('/etc/containerd/conf.d/50-sealift.toml', theirs);
    // The pattern of the main file is absolute on the node.
    expect(await addHandler(parts, 2, options)).toBe('present');
    expect(await removeHandler(parts)).toBe('unchanged');
    expect(did).toEqual([`/usr/bin/containerd --config ${MAIN} config dump`]);
  });
});
