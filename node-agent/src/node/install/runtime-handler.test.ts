// SPDX-License-Identifier: Apache-2.0
// Over real files in a directory that stands for the node's root. Programs of the node are recorded, and answered as
// containerd would.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentError } from '../../support/errors.ts';
import { Host } from '../host/host.ts';
import { configPathOf, findContainerd, majorOf, unitOf } from './containerd.ts';
import {
  addHandler,
  handlerConfigured,
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

/** Dumps all files of the configuration, one after another, as far as that matters here. */
class NodeOfFiles extends Host {
  constructor() {
    super({ root });
  }
  override async check(program: string, args: readonly string[]): Promise<string> {
    did.push([program, ...args].join(' '));
    if (failing !== undefined && [program, ...args].join(' ').includes(failing))
      throw new AgentError('RuntimeFailed', `${failing} failed`);
    if (args.at(-1) !== 'dump') return '';
    const files = [MAIN, DROP_IN].map((path) => readFile(this.path(path), 'utf8').catch(() => ''));
    return (await Promise.all(files)).join('\n');
  }
}

let parts: RuntimeParts;
const put = async (path: string, text: string): Promise<void> => {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
};
const read = (path: string): Promise<string> => readFile(join(root, path), 'utf8');
const restarts = (): number =>
  did.filter((line) => line === 'systemctl restart containerd.service').length;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'handler-'));
  did = [];
  failing = undefined;
  parts = {
    host: new NodeOfFiles(),
    containerd: {
      pid: 1,
      program: '/usr/bin/containerd',
      mainFile: MAIN,
      unit: 'containerd.service',
    },
    runDir: join(root, 'run/sealift'),
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
      'lease',
      `/usr/bin/containerd --config ${MAIN} config dump`,
      'systemctl restart containerd.service',
      'released',
    ]);
    expect(await handlerConfigured(parts.host, MAIN, 'sealift')).toBe(true);
    expect(await addHandler(parts, 1, options)).toBe('unchanged');
    expect(restarts()).toBe(1);
    expect(await removeHandler(parts)).toBe('restarted');
    expect(await read(MAIN)).toBe(version2);
    expect(await handlerConfigured(parts.host, MAIN, 'sealift')).toBe(false);
    expect(await removeHandler(parts)).toBe('unchanged');
    expect(restarts()).toBe(2);
  });

  it('keeps its configuration if containerd refuses the new one, and is not restarted', async () => {
    failing = 'config dump';
    await expect(addHandler(parts, 1, options)).rejects.toThrow('config dump failed');
    expect(await read(MAIN)).toBe(version2);
    expect(restarts()).toBe(0);
  });

  it('keeps its configuration if the restart fails', async () => {
    failing = 'restart';
    await expect(addHandler(parts, 1, options)).rejects.toThrow('restart failed');
    expect(await read(MAIN)).toBe(version2);
    failing = undefined;
    expect(await addHandler(parts, 1, options)).toBe('restarted');
  });

  it('is restarted by the next agent if the first one ended between writing and restarting', async () => {
    const dying: RuntimeParts = {
      ...parts,
      host: new (class extends NodeOfFiles {
        override check(): Promise<string> {
          // The process ends here: nothing is undone.
          return new Promise(() => undefined);
        }
      })(),
    };
    void addHandler(dying, 1, options);
    while (!(await handlerConfigured(parts.host, MAIN, 'sealift')))
      await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await addHandler(parts, 1, options)).toBe('restarted');
    expect(restarts()).toBe(1);
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
    expect(await readdir(join(root, dirname(DROP_IN)))).toEqual([]);
  });

  it('without a configuration file has none again afterwards', async () => {
    expect(await addHandler(parts, 2, options)).toBe('restarted');
    expect(await removeHandler(parts)).toBe('restarted');
    await expect(read(MAIN)).rejects.toThrow('ENOENT');
  });

  it('keeps a handler that somebody else has put into a drop-in of their own', async () => {
    await put(MAIN, version3);
    const theirs =
      "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.sealift]\n";
    await put('/etc/containerd/conf.d/mine.toml', theirs);
    // The pattern of the main file is absolute on the node.
    expect(await addHandler(parts, 2, options)).toBe('present');
    expect(await removeHandler(parts)).toBe('unchanged');
    expect(did).toEqual([]);
  });
});

describe('the runtime that runs', () => {
  const process = async (pid: number, argv: string[], cgroup: string): Promise<void> => {
    await put(`/proc/${pid}/cmdline`, `${argv.join('\0')}\0`);
    await put(`/proc/${pid}/cgroup`, `0::${cgroup}\n`);
  };

  it('is found by its process, with the file of its command line', async () => {
    await process(7, ['/usr/bin/containerd-shim-runc-v2'], '/x.service');
    await process(
      9,
      ['/usr/bin/containerd', '-c', '/etc/c.toml'],
      '/system.slice/containerd.service',
    );
    // A process's program is a link that only the kernel makes.
    await expect(findContainerd(join(root, 'proc'))).rejects.toThrow('No containerd runs');
    expect(configPathOf(['containerd', '--config=/a.toml'])).toBe('/a.toml');
    expect(configPathOf(['containerd', '--config', '/a.toml'])).toBe('/a.toml');
    expect(configPathOf(['containerd'])).toBe(MAIN);
    expect(unitOf('0::/system.slice/containerd.service\n')).toBe('containerd.service');
    expect(unitOf('0::/docker/abc\n')).toBeUndefined();
  });

  it('is refused by name if it is none that Sealift knows', async () => {
    expect([majorOf('containerd://1.7.24'), majorOf('containerd://2.4.2')]).toEqual([1, 2]);
    for (const other of ['cri-o://1.35.0', 'docker://28.1', ''])
      expect(() => majorOf(other)).toThrow('Sealift works with containerd');
    await process(
      9,
      ['containerd', '-c', '/var/lib/rancher/k3s/agent/etc/containerd/config.toml'],
      '/k3s.service',
    );
    await expect(findContainerd(join(root, 'proc'))).rejects.toThrow('by hand');
  });
});
