// SPDX-License-Identifier: Apache-2.0
// The installer itself over a directory that stands for the node's root. The kernel, systemd and the API server are replaced;
// containerd is one that dumps its files.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { annotations, labels } from '../../crds/src/index.ts';
import { ApiError, nodes, type Api, type Logger, type Resource } from '../../kube/src/index.ts';
import { install, takesNoPrograms, uninstall, type Machine } from './installer.ts';
import type { Kernel } from './node/install/driver.ts';
import { Host, type RunResult } from './node/host/host.ts';
import { readConfig, type Config } from './support/config.ts';
import { AgentError } from './support/errors.ts';

const MAIN = '/etc/containerd/config.toml';
const main = `version = 2\n[plugins."io.containerd.grpc.v1.cri"]\n  sandbox_image = "own/pause:1"\n`;
const log = Object.fromEntries(
  ['info', 'warn', 'error'].map((name) => [name, () => undefined]),
) as unknown as Logger;

let root = '';
let config: Config;
let killMode: string;
let modules: Set<string>;
let unmounts: string[];
const at = (path: string): string => join(root, 'host', path);
const put = async (path: string, text = ''): Promise<void> => {
  await mkdir(dirname(at(path)), { recursive: true });
  await writeFile(at(path), text);
};

/** The directory of CNI plugins. */
const link = async (target: string): Promise<void> => {
  await mkdir(at('opt/cni'), { recursive: true });
  await symlink(target, at('opt/cni/bin'));
};

/** A file system that lets nobody make a directory, and says ENOENT. */
const proc = async (): Promise<void> => {
  await mkdir(at('proc'));
  execFileSync('mount', ['-t', 'proc', 'none', at('proc')]);
  unmounts.push(at('proc'));
};

class TestHost extends Host {
  override async check(program: string, args: readonly string[]): Promise<string> {
    if (args[0] === 'show') return `KillMode=${killMode}\n`;
    if (program === 'modprobe') {
      for (const one of args) if (/^[a-z]+_/.test(one) && !one.includes('=')) modules.add(one);
    }
    if (args.at(-1) !== 'dump') return '';
    const path = args[0] === '--config' ? (args[1] ?? '') : MAIN;
    return readFile(this.path(path), 'utf8');
  }
  override async run(program: string, args: readonly string[]): Promise<RunResult> {
    return { status: 0, stdout: await this.check(program, args), stderr: '' };
  }
}

interface Stored {
  metadata: { name: string } & Record<string, Record<string, unknown>>;
}

/** The node's object and Leases. A merge patch takes away what is null. */
function server(runtime = 'containerd://1.7.24') {
  const node = {
    metadata: { name: 'one', labels: {}, annotations: {} },
    status: { nodeInfo: { containerRuntimeVersion: runtime, bootID: 'boot-1' } },
  } as unknown as Stored;
  let lease: Stored | undefined;
  const merge = (into: Record<string, unknown>, patch: Record<string, unknown>): void => {
    for (const [key, value] of Object.entries(patch)) {
      if (value === null) delete into[key];
      else if (typeof value === 'object' && !Array.isArray(value))
        merge((into[key] ??= {}) as Record<string, unknown>, value as Record<string, unknown>);
      else into[key] = value;
    }
  };
  const api = {
    async get<T>(kind: Resource<T>): Promise<T> {
      if (kind.plural === nodes.plural) return kind.parse(structuredClone(node));
      if (!lease) throw new ApiError(404, 'NotFound', 'no lease');
      return kind.parse(structuredClone(lease));
    },
    list: async (kind: Resource<unknown>) => ({
      items: kind.plural === nodes.plural ? [structuredClone(node)] : [],
      resourceVersion: '1',
    }),
    async create(_: unknown, namespace: string, body: Stored) {
      lease = structuredClone(body);
      Object.assign(lease.metadata, { namespace, uid: 'u', resourceVersion: '1' });
    },
    async merge(kind: Resource<unknown>, _: string, __: string, patch: Record<string, unknown>) {
      const to = kind.plural === nodes.plural ? node : lease;
      if (to) merge(to as unknown as Record<string, unknown>, patch);
    },
  } as unknown as Api;
  return { api, node };
}

const kernel: Kernel = {
  kernelRelease: () => '6.12.1-test',
  moduleLoaded: (name) => modules.has(name),
  finitModule: async (path) => {
    await readFile(path);
    modules.add('rdma_rxe');
  },
  deleteModule: async (name) => {
    if (!modules.delete(name)) throw Object.assign(new Error('none'), { code: 'ENOENT' });
  },
  rdmaDevices: async () => [],
};

const machine = (api: Api, own: Partial<Machine> = {}): Machine => ({
  api: () => api,
  kernel,
  loadedAbi: async () => (modules.has('rdma_rxe') ? 'rxe-10' : undefined),
  presentModules: () => [...modules],
  checkNetnsMode: async () => undefined,
  findContainerd: async () => ({
    ...{ pid: 1, program: '/usr/bin/containerd', mainFile: MAIN, unit: 'containerd.service' },
  }),
  criAnswers: async () => undefined,
  clearPodIp: async () => undefined,
  host: () => new TestHost({ root: join(root, 'host') }),
  ...own,
});

const unfound: Partial<Machine> = {
  findContainerd: () =>
    Promise.reject(new AgentError('RuntimeUnsupported', 'No containerd runs on this node.')),
};

/** Every file and directory of the node. */
const seen = async (): Promise<string[]> =>
  (await readdir(join(root, 'host'), { recursive: true })).sort();

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'installer-'));
  killMode = 'process';
  modules = new Set(['ext4']);
  unmounts = [];
  for (const name of ['sealift', 'sealift-runc', 'runc', 'criu']) {
    await mkdir(join(root, 'bundle/bin'), { recursive: true });
    await writeFile(join(root, 'bundle/bin', name), name);
  }
  await mkdir(join(root, 'bundle/modules/6.12.1-test'), { recursive: true });
  await writeFile(join(root, 'bundle/modules/6.12.1-test/rdma_rxe.ko'), 'ko');
  await put(MAIN, main);
  for (const directory of ['opt', 'var/lib/sealift', 'run/sealift'])
    await mkdir(at(directory), { recursive: true });
  config = readConfig({
    ...{ NODE_NAME: 'one', NODE_IP: '192.0.2.1', SEALIFT_BUNDLE: join(root, 'bundle') },
    ...{ SEALIFT_STATE_DIR: at('var/lib/sealift'), SEALIFT_SOCKET: at('run/sealift/agent.sock') },
    ...{ SEALIFT_CONFIGURE_RUNTIME: 'true', SEALIFT_HOST_ROOT: join(root, 'host') },
  });
});
afterEach(async () => {
  for (const one of unmounts) execFileSync('umount', [one]);
  await rm(root, { recursive: true });
});

describe('a node', () => {
  it('gets programs, handler and driver, and is then as it was before', async () => {
    const before = await seen();
    const { api, node } = server();
    await install(config, log, machine(api));
    expect(await readFile(at('opt/sealift/bin/sealift-runc'), 'utf8')).toBe('sealift-runc');
    expect(await readFile(at('opt/cni/bin/sealift'), 'utf8')).toBe('sealift');
    expect(await readFile(at(MAIN), 'utf8')).toContain('runtimes.sealift');
    expect(modules.has('rdma_rxe')).toBe(true);
    expect(await takesNoPrograms(config)).toBe(false);
    await install(config, log, machine(api));
    node.metadata['labels'] = { [labels.driverAbi]: 'rxe-10' };
    await uninstall(config, log, machine(api));
    expect(await readFile(at(MAIN), 'utf8')).toBe(main);
    expect(node.metadata['labels']).toEqual({});
    expect([...modules]).not.toContain('rdma_rxe');
    // With the agent's two mounts, which go by paths that this node does not have.
    expect(await seen()).toEqual(before);
  });

  it('finds /opt where a link of the node leads, also an absolute one', async () => {
    await rm(at('opt'), { recursive: true });
    await mkdir(at('var/opt'), { recursive: true });
    await symlink('/var/opt', at('opt'));
    const { api } = server();
    await install(config, log, machine(api));
    expect(existsSync(at('var/opt/sealift/bin/criu'))).toBe(true);
    await uninstall(config, log, machine(api));
    expect(await readdir(at('var/opt'))).toEqual([]);
  });

  it.each([
    ['absolute', 'bin', '/var/lib/cni/bin', 'var/lib/cni/bin'],
    ['relative', 'bin', '../../usr/cni', 'usr/cni'],
    ['that is of a parent', '.', '/var/cni', 'var/cni/bin'],
  ])('makes what a link of it misses: %s', async (_what, name, target, found) => {
    const link = at(join('opt/cni', name));
    await mkdir(dirname(link), { recursive: true });
    await symlink(target, link);
    const before = await seen();
    const { api } = server();
    await install(config, log, machine(api));
    expect(await takesNoPrograms(config)).toBe(false);
    expect(await readFile(at(join(found, 'sealift')), 'utf8')).toBe('sealift');
    await uninstall(config, log, machine(api));
    expect(await seen()).toEqual(before);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['a file is the directory', () => put('opt/cni/bin', 'x')],
    ['a file is its parent', () => put('opt/cni', 'x')],
    ['a file is where its link leads', () => put('data', 'x').then(() => link('/data/cni/bin'))],
    ['its link leads to itself', () => link('bin')],
    ['the link of its parent leads to itself', () => symlink('cni', at('opt/cni'))],
    ['its link leads to where nobody makes one', () => proc().then(() => link('/proc/none/cni'))],
    ['a directory has the name of the delegate', () => put('opt/cni/bin/sealift/file')],
  ])('where %s takes no programs, says so, and is then as before', async (_what, prepare) => {
    const all = () => readdir(at('opt'), { recursive: true });
    await prepare();
    const before = await all();
    const { api, node } = server();
    await install(config, log, machine(api));
    expect(await takesNoPrograms(config)).toBe(true);
    expect(node.metadata['labels']).toMatchObject({ [labels.problem]: 'NodeReadOnly' });
    expect(node.metadata['annotations']?.[annotations.problem]).toMatch(/cni/);
    await uninstall(config, log, machine(api));
    expect(await all()).toEqual(before);
  });

  it('loses the delegate from an earlier directory of CNI plugins, and keeps the directory that was there', async () => {
    await put('usr/lib/cni/bridge');
    const { api } = server();
    await install(config, log, machine(api));
    await install({ ...config, cniBinDir: '/usr/lib/cni' }, log, machine(api));
    await uninstall({ ...config, cniBinDir: '/usr/lib/cni' }, log, machine(api));
    expect(await readdir(at('usr/lib/cni'))).toEqual(['bridge']);
    expect(await readdir(at('opt'))).toEqual([]);
  });

  it('that takes no programs says so, ends well, and lets the uninstall end well', async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'none', at('opt')]);
    unmounts.push(at('opt'));
    const { api, node } = server();
    await install(config, log, machine(api));
    expect(await takesNoPrograms(config)).toBe(true);
    expect(node.metadata['labels']).toMatchObject({ [labels.problem]: 'NodeReadOnly' });
    const noted = JSON.parse(await readFile(at('run/sealift/programs-problem.json'), 'utf8')) as {
      code: string;
    };
    expect(noted).toMatchObject({
      code: 'NodeReadOnly',
      message: expect.stringContaining('EROFS') as string,
    });
    // A handler would name a program that is not there.
    expect(await readFile(at(MAIN), 'utf8')).toBe(main);
    await uninstall(config, log, machine(api));
    expect(await readFile(at(MAIN), 'utf8')).toBe(main);
  });

  it('whose disk is full says so, and goes on with what it has', async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4k', 'none', at('opt')]);
    unmounts.push(at('opt'));
    await writeFile(join(root, 'bundle/bin/large'), 'x'.repeat(100_000));
    const { api } = server();
    await install(config, log, machine(api));
    expect(await readFile(at('run/sealift/programs-problem.json'), 'utf8')).toContain('DiskFull');
    await uninstall(config, log, machine(api));
    expect(await readdir(at('opt'))).toEqual([]);
  });

  it('that takes no new programs gets the driver of those that it has: a boot has taken it out', async () => {
    const { api } = server();
    await install(config, log, machine(api));
    modules = new Set(['ext4']);
    await rm(at('run/sealift'), { recursive: true });
    await writeFile(join(root, 'bundle/bin/new'), 'new');
    execFileSync('mount', ['-t', 'tmpfs', 'none', at('opt/cni')]);
    unmounts.push(at('opt/cni'));
    execFileSync('mount', ['-o', 'remount,ro', at('opt/cni')]);
    await install(config, log, machine(api));
    expect(await takesNoPrograms(config)).toBe(true);
    expect(modules.has('rdma_rxe')).toBe(true);
    expect(existsSync(at('run/sealift/driver-problem.json'))).toBe(false);
  });

  it('that takes no programs and has none keeps its kernel as it is', async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'none', at('opt')]);
    unmounts.push(at('opt'));
    await install(config, log, machine(server().api));
    expect([...modules]).toEqual(['ext4']);
    expect(existsSync(at('run/sealift/driver-problem.json'))).toBe(false);
  });

  it('without a bundle is an error that another attempt may mend, and is on the Node object', async () => {
    const { api, node } = server();
    const broken = { ...config, bundleDir: join(root, 'none') };
    await expect(install(broken, log, machine(api))).rejects.toThrow('ENOENT');
    expect(node.metadata['labels']).toMatchObject({ [labels.problem]: 'Internal' });
    expect(node.metadata['annotations']?.[annotations.problem]).toContain('ENOENT');
  });
});

describe('a handler that an administrator has taken over', () => {
  const binary = '/opt/sealift/bin/sealift-runc';
  /** As the node's tooling writes it. */
  const theirs = `${main}[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.sealift]
  runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.sealift.options]
    BinaryName = "${binary}"
`;
  const noteFile = (): string => at('var/lib/sealift/runtime-handler.json');
  let byHand: Config;
  let api: Api;
  beforeEach(async () => {
    byHand = { ...config, configureRuntime: false };
    ({ api } = server());
    await install(config, log, machine(api));
    expect(existsSync(noteFile())).toBe(true);
  });

  it('stays at the uninstall', async () => {
    await put(MAIN, theirs);
    await install(byHand, log, machine(api));
    expect(existsSync(noteFile())).toBe(false);
    await uninstall(byHand, log, machine(api));
    expect(await readFile(at(MAIN), 'utf8')).toBe(theirs);
  });

  it('stays if that was after the agent has started', async () => {
    await install(byHand, log, machine(api));
    expect(existsSync(noteFile())).toBe(true);
    await put(MAIN, theirs);
    await uninstall(byHand, log, machine(api));
    expect(await readFile(at(MAIN), 'utf8')).toBe(theirs);
  });

  it('stays where no containerd is found any more', async () => {
    await put(MAIN, theirs);
    await install(byHand, log, machine(api, unfound));
    await uninstall(byHand, log, machine(api, unfound));
    expect(await readFile(at(MAIN), 'utf8')).toBe(theirs);
  });

  it('stays in a file of its own beside what the agent has added, which goes', async () => {
    const own = '/etc/containerd/own.toml';
    const imports = `imports = ["${own}"]\n`;
    await put(own, theirs.replace(main, 'version = 2\n'));
    await put(MAIN, `${imports}${await readFile(at(MAIN), 'utf8')}`);
    await install(byHand, log, machine(api));
    await uninstall(byHand, log, machine(api));
    expect(await readFile(at(MAIN), 'utf8')).toBe(`${imports}${main}`);
    expect(await readFile(at(own), 'utf8')).toContain('runtimes.sealift');
  });

  it('that is the agent’s own still, by its comments, goes', async () => {
    await install(byHand, log, machine(api));
    await uninstall(byHand, log, machine(api));
    expect(await readFile(at(MAIN), 'utf8')).toBe(main);
  });

  it('and given back is the agent’s again, by its note', async () => {
    await install(byHand, log, machine(api));
    await install(config, log, machine(api));
    // As `containerd config migrate` leaves it.
    await put(MAIN, theirs);
    await uninstall(config, log, machine(api));
    expect(await readFile(at(MAIN), 'utf8')).not.toContain(binary);
  });

  it('is known by no note on a node that takes no programs, either', async () => {
    await put(MAIN, theirs);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'none', at('opt/cni')]);
    unmounts.push(at('opt/cni'));
    await install(byHand, log, machine(api));
    expect(existsSync(noteFile())).toBe(false);
  });
});

describe('an uninstall', () => {
  it('ends well on a node whose runtime the installer has refused', async () => {
    const { api } = server('cri-o://1.35.0');
    await install(config, log, machine(api, unfound));
    await uninstall(config, log, machine(api, unfound));
    expect(existsSync(at('opt/sealift'))).toBe(false);
  });

  it('fails while the handler is in a file of a containerd that is not found: its program would be missing', async () => {
    const { api } = server();
    await install(config, log, machine(api));
    await expect(uninstall(config, log, machine(api, unfound))).rejects.toMatchObject({
      code: 'HandlerLeft',
      message: expect.stringContaining(MAIN) as string,
    });
    expect(existsSync(at('opt/sealift/bin/sealift-runc'))).toBe(true);
  });

  it('fails while a restart of the runtime would end containers, and goes on once that is mended', async () => {
    const { api } = server();
    await install(config, log, machine(api));
    killMode = 'control-group';
    await expect(uninstall(config, log, machine(api))).rejects.toThrow('KillMode');
    expect(await readFile(at(MAIN), 'utf8')).toContain('runtimes.sealift');
    expect(existsSync(at('opt/sealift/bin/sealift-runc'))).toBe(true);
    killMode = 'process';
    await uninstall(config, log, machine(api));
    expect(await readFile(at(MAIN), 'utf8')).toBe(main);
  });
});
