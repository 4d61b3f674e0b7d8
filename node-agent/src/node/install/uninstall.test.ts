// SPDX-License-Identifier: Apache-2.0
// Over real directories that stand for the node's.
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { annotations, labels } from '../../../../crds/src/index.ts';
import { pods, type Api, type Logger } from '../../../../kube/src/index.ts';
import { ManyPods } from '../../../../kube/testing/many-pods.ts';
import { MemoryApi } from '../../testing/api.ts';
import { Host } from '../host/host.ts';
import { multusProblem } from './problems.ts';
import { loadedModules, noteLoaded, presentModules, type LoadedModules } from './loaded-modules.ts';
import {
  daemonSets,
  isDone,
  refuseWhilePodsRun,
  runtimeClasses,
  uninstalling,
  uninstallNodes,
} from './uninstall-nodes.ts';
import {
  refuseWhileKept,
  refuseWhileUsed,
  removeEmptyDirectories,
  removeFiles,
  unloadDriver,
} from './uninstall.ts';

const BINARY = '/opt/sealift/bin/sealift-runc';
let root = '';
let host: Host;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'uninstall-'));
  host = new Host({ root });
});
afterEach(() => rm(root, { recursive: true }));

const put = async (path: string, text = ''): Promise<void> => {
  await mkdir(join(root, path, '..'), { recursive: true });
  await writeFile(join(root, path), text);
};

describe('the programs of a node', () => {
  it.each(['options.json', 'runtime'])(
    'stay while a container needs them, by its %s',
    async (file) => {
      const tasks = '/run/containerd/io.containerd.runtime.v2.task/k8s.io';
      await refuseWhileUsed(host, BINARY);
      await put(`${tasks}/aaa/${file}`, '{"binary_name":"/usr/bin/runc"}');
      await refuseWhileUsed(host, BINARY);
      await put(`${tasks}/bbb/${file}`, `{"binary_name":"${BINARY}"}`);
      await expect(refuseWhileUsed(host, BINARY)).rejects.toThrow('1 containers of this node');
    },
  );

  it('stay while a moved pod anywhere has an address that this node may route or reserve', async () => {
    const api = new MemoryApi();
    const pod = (name: string, phase: string, own: object, podIPs: object[] = []) =>
      api.put(pods, {
        metadata: { name, namespace: 'team', uid: name, ...own },
        spec: { nodeName: 'another' },
        status: { phase, podIPs },
      });
    const kept = {
      labels: { [labels.podIp]: 'kept' },
      annotations: { [annotations.podIp]: '10.88.1.5' },
    };
    pod('plain', 'Running', {}, [{ ip: '10.88.1.9' }]);
    pod('ended', 'Succeeded', kept, [{ ip: '10.88.1.5' }]);
    await refuseWhileKept(api);
    // Its kubelet has not reported yet.
    pod('moved', 'Pending', kept);
    await expect(refuseWhileKept(api)).rejects.toMatchObject({
      code: 'AddressesLeft',
      message: expect.stringContaining('team/moved') as string,
    });
    api.reachable = false;
    await expect(refuseWhileKept(api)).rejects.toThrow('ECONNREFUSED');
  });

  it('go with the cgroup of the last restore', async () => {
    await mkdir(join(root, 'sys/fs/cgroup/sealift/past-gate'), { recursive: true });
    await mkdir(join(root, 'opt/sealift'), { recursive: true });
    await put('run/sealift/kept');
    await removeEmptyDirectories(host, ['/opt/sealift', '/run/sealift']);
    expect(await readdir(join(root, 'sys/fs/cgroup'))).toEqual([]);
    expect(await readdir(join(root, 'opt'))).toEqual([]);
    expect(await readdir(join(root, 'run/sealift'))).toEqual(['kept']);
  });

  it('go with all files but images of checkpoints', async () => {
    const at = (name: string): string => join(root, name);
    const directories = {
      ...{ installDir: at('opt'), stateDir: at('state'), runDir: at('run') },
      cniBinDirs: [at('none'), at('old'), at('cni')],
    };
    for (const file of [
      'opt/bin/criu',
      'state/journal/a',
      'run/agent.sock',
      'cni/sealift',
      'old/sealift',
      'cni/bridge',
    ])
      await put(file);
    await put('state/checkpoints/one/manifest.json');
    await removeFiles(directories);
    expect(await readdir(at('opt'))).toEqual([]);
    expect(await readdir(at('run'))).toEqual([]);
    expect(await readdir(at('cni'))).toEqual(['bridge']);
    expect(await readdir(at('old'))).toEqual([]);
    expect(await readdir(at('state'))).toEqual(['checkpoints']);
    await rm(at('state/checkpoints/one'), { recursive: true });
    await removeFiles(directories);
    expect(await readdir(at('state'))).toEqual([]);
  });
});

describe('the driver', () => {
  /** A kernel with these modules, of which those in use can't be unloaded, and with these devices by namespace. */
  const kernel = (
    o: { modules?: string[]; used?: string[]; devices?: Record<string, string[]> } = {},
  ) => {
    const modules = new Set(o.modules ?? ['rdma_rxe']);
    const ran: string[] = [];
    return {
      ...{ modules, ran },
      moduleLoaded: (name: string) => modules.has(name),
      deleteModule: async (name: string) => {
        if (o.used?.includes(name)) throw Object.assign(new Error('used'), { code: 'EAGAIN' });
        if (!modules.delete(name)) throw Object.assign(new Error('none'), { code: 'ENOENT' });
      },
      rdmaDevices: async (netns: string) =>
        (o.devices?.[netns] ?? []).map((name) => ({ name }) as never),
      host: {
        run: async (program: string, args: readonly string[]) => {
          ran.push([program, ...args].join(' '));
          return { status: 0, stdout: '', stderr: '' };
        },
      },
    };
  };
  const proc = (): string => join(root, 'proc');
  const loaded = (...names: string[]) => ({ names, replacedDriver: false });
  const unload = (of: ReturnType<typeof kernel>, what: LoadedModules, shared = false) =>
    unloadDriver({ host: of.host, loaded: what, shared }, of, proc());

  it('goes where this node has loaded it and nobody has a device', async () => {
    await put('proc/7/ns/net');
    const of = kernel();
    expect(await unload(of, loaded('rdma_rxe'))).toBeUndefined();
    expect([...of.modules]).toEqual([]);
  });

  it('takes with it what was loaded for it, but for what others use by now', async () => {
    const modules = ['ib_core', 'ib_uverbs', 'rdma_cm', 'rdma_ucm', 'rdma_rxe', 'udp_tunnel'];
    const of = kernel({ modules, used: ['udp_tunnel'] });
    expect(
      await unload(of, loaded('rdma_rxe', 'rdma_ucm', 'rdma_cm', 'ib_uverbs', 'udp_tunnel')),
    ).toBeUndefined();
    expect([...of.modules]).toEqual(['ib_core', 'udp_tunnel']);
  });

  it('gives way to the distribution’s, if it has replaced that', async () => {
    const of = kernel({ modules: ['ib_core', 'rdma_rxe'] });
    const replaced = { names: [], replacedDriver: true };
    expect(await unload(of, replaced)).toBeUndefined();
    expect([...of.modules, ...of.ran]).toEqual(['ib_core', 'modprobe rdma_rxe']);
  });

  it.each([
    ['another node has the same kernel', ['rdma_rxe'], true, 'other nodes'],
    ['it was there before', [], false, 'before Sealift'],
  ])('stays where %s', async (_, names, shared, why) => {
    const of = kernel();
    expect(await unload(of, loaded(...names), shared)).toContain(why);
    expect(of.modules.has('rdma_rxe')).toBe(true);
  });

  it('stays while anybody has a device, in whichever namespace: unloading would remove it', async () => {
    await put('proc/7/ns/net');
    await put('proc/8/ns/net');
    const of = kernel({ devices: { [`${proc()}/8/ns/net`]: ['rxe0'] } });
    expect(await unload(of, loaded('rdma_rxe'))).toContain('rxe0');
    expect(of.modules.has('rdma_rxe')).toBe(true);
  });
});

describe('what the installer has loaded', () => {
  it('is nothing without a note of this boot, and the driver by the note of an earlier version', async () => {
    expect(await loadedModules(root)).toEqual({ names: [], replacedDriver: false });
    await put('driver-loaded');
    expect(await loadedModules(root)).toEqual({ names: ['rdma_rxe'], replacedDriver: false });
  });

  it('adds up over the runs of a boot, and is not written down where there is nothing', async () => {
    await noteLoaded(root, presentModules(), false);
    expect(await readdir(root)).toEqual([]);
    await noteLoaded(root, presentModules(), true);
    await noteLoaded(root, presentModules(), false);
    expect(await loadedModules(root)).toEqual({ names: [], replacedDriver: true });
  });
});

describe('a node without Multus', () => {
  it('says so, by the configuration that counts', async () => {
    expect(await multusProblem(host)).toMatchObject({ code: 'MultusMissing' });
    await put('/etc/cni/net.d/10-kindnet.conflist', '{"plugins":[{"type":"ptp"}]}');
    expect((await multusProblem(host))?.message).toContain('10-kindnet.conflist');
    await put('/etc/cni/net.d/00-multus.conf', '{"name":"x", "type": "multus-shim"}');
    expect(await multusProblem(host)).toBeUndefined();
  });
});

describe('all nodes', () => {
  const daemonSet = (status: object, generation = 2, arg = 'install'): object => ({
    metadata: { name: 'sealift-agent', namespace: 'sealift', generation },
    spec: {
      template: {
        spec: {
          containers: [{ name: 'agent', image: 'a', args: ['run'], volumeMounts: [{ name: 'x' }] }],
          initContainers: [
            { name: 'install', image: 'a', args: [arg], volumeMounts: [{ name: 'x' }] },
          ],
        },
      },
    },
    status,
  });
  const done = {
    ...{ observedGeneration: 2, desiredNumberScheduled: 2 },
    ...{ updatedNumberScheduled: 2, numberAvailable: 2 },
  };

  it('run uninstall with the mounts of install, and idle without any', () => {
    const { template, updateStrategy } = (
      uninstalling(daemonSets.parse(daemonSet(done))) as ReturnType<typeof daemonSets.parse>
    ).spec;
    // A node that is down counts as unavailable: with a limit of 1, no other node's turn would come.
    expect(updateStrategy).toMatchObject({ rollingUpdate: { maxUnavailable: '100%' } });
    expect(template.spec.initContainers).toEqual([
      { name: 'install', image: 'a', args: ['uninstall'], volumeMounts: [{ name: 'x' }] },
    ]);
    expect(template.spec.containers).toEqual([
      { name: 'agent', image: 'a', args: ['idle'], volumeMounts: [] },
    ]);
  });

  it('are done when every pod is of the new kind and runs', () => {
    const isSo = (status: object, generation?: number) =>
      isDone(daemonSets.parse(daemonSet(status, generation)));
    expect(isSo(done)).toBe(true);
    expect(isSo(done, 3)).toBe(false);
    expect(isSo({ ...done, updatedNumberScheduled: 1 })).toBe(false);
    expect(isSo({ ...done, numberAvailable: 1 })).toBe(false);
  });

  const log = { info: () => undefined, warn: () => undefined } as unknown as Logger;
  const o = {
    ...{ namespace: 'sealift', name: 'sealift-agent', handler: 'sealift' },
    ...{ everyMs: 5, limitMs: 60_000 },
  };
  /** An API server with a DaemonSet, whose controller does nothing. */
  const server = () => {
    const stored = new MemoryApi();
    const patches: object[] = [];
    const api = {
      get: stored.get.bind(stored),
      list: stored.list.bind(stored),
      async merge(...[, , , patch]: [unknown, unknown, unknown, object]) {
        patches.push(patch);
        const { status = {} } = stored.peek(daemonSets, 'sealift', 'sealift-agent') ?? {};
        stored.put(daemonSets, daemonSet(status, 2, 'uninstall'));
      },
    } as unknown as Api;
    return { stored, patches, api };
  };
  const userPod = (name: string, runtimeClassName: string | undefined, phase = 'Running') => ({
    metadata: { name, namespace: 'team', uid: name },
    spec: { runtimeClassName },
    status: { phase },
  });

  it('are waited for, and a DaemonSet that is gone is not', async () => {
    const { stored, patches, api } = server();
    await uninstallNodes(api, log, o);
    expect(patches).toEqual([]);
    stored.put(daemonSets, daemonSet({ ...done, numberAvailable: 1 }));
    let ended = false;
    // An API server that does not answer yet.
    stored.reachable = false;
    const waiting = uninstallNodes(api, log, o).then(() => (ended = true));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([patches.length, ended]).toEqual([0, false]);
    stored.reachable = true;
    await expect.poll(() => patches.length).toBe(1);
    expect(ended).toBe(false);
    // The control plane's own runtime restarts.
    stored.reachable = false;
    await new Promise((resolve) => setTimeout(resolve, 50));
    stored.put(daemonSets, daemonSet(done, 2, 'uninstall'));
    stored.reachable = true;
    await waiting;
  });

  it('are left to a release that was taken back meanwhile: its requests stay protected', async () => {
    const { stored, patches, api } = server();
    stored.put(daemonSets, daemonSet({ ...done, numberAvailable: 1 }));
    const waiting = uninstallNodes(api, log, o);
    const failed = expect(waiting).rejects.toThrow('has been put back');
    await expect.poll(() => patches.length).toBe(1);
    // helm rollback, by somebody whose helm did not wait for the Job's end.
    stored.put(daemonSets, daemonSet(done, 3));
    await failed;
    expect(patches).toHaveLength(1);
  });

  it('keep their agents while any pod runs with a runtime class of the handler', async () => {
    const { stored, patches, api } = server();
    stored.put(daemonSets, daemonSet(done));
    stored.put(runtimeClasses, {
      metadata: { name: 'own', namespace: '', uid: '1' },
      handler: 'sealift',
    });
    stored.put(runtimeClasses, {
      metadata: { name: 'kata', namespace: '', uid: '2' },
      handler: 'kata',
    });
    for (const pod of [
      userPod('plain', undefined),
      userPod('other', 'kata'),
      userPod('ended', 'sealift', 'Succeeded'),
    ])
      stored.put(pods, pod);
    await refuseWhilePodsRun(api, 'sealift');
    for (const name of ['sealift', 'own']) {
      stored.put(pods, userPod('trainer', name, 'Pending'));
      await expect(uninstallNodes(api, log, o)).rejects.toMatchObject({
        code: 'ContainersLeft',
        message: expect.stringMatching(/team\/trainer.*helm rollback sealift <revision>/) as string,
      });
    }
    expect(patches).toEqual([]);
  });

  it('are asked for page by page', { timeout: 300_000 }, async () => {
    const many = new ManyPods(5_000, (pod, n) =>
      n === 4_321 ? { ...pod, spec: { runtimeClassName: 'sealift' } } : pod,
    );
    await expect(refuseWhilePodsRun(many.client, 'sealift')).rejects.toMatchObject({
      message: expect.stringContaining('1 pods run') as string,
    });
    expect(many.highestMiB, 'MiB; all of them have 40').toBeLessThan(16);
  });

  it('are named with what each has said, before the time is over', async () => {
    const { stored, api } = server();
    stored.put(daemonSets, daemonSet({ ...done, numberAvailable: 1 }));
    const owner = { kind: 'DaemonSet', name: 'sealift-agent', apiVersion: 'apps/v1', uid: 'd' };
    const agent = (node: string, arg: string, ready: boolean, init: object = {}) =>
      stored.put(pods, {
        metadata: {
          name: `agent-${node}`,
          namespace: 'sealift',
          uid: node,
          ownerReferences: [owner],
        },
        spec: { nodeName: node, containers: [{ name: 'agent', args: [arg] }] },
        status: {
          conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
          initContainerStatuses: [{ name: 'install', ...init }],
        },
      });
    agent('done', 'idle', true);
    agent('down', 'run', false);
    agent('pulling', 'idle', false, { state: { waiting: { reason: 'ImagePullBackOff' } } });
    const message =
      '{"level":30}\n{"level":60,"message":"containerd does not start.","msg":"agent ended"}\n';
    agent('refuses', 'idle', false, {
      ...{
        state: { waiting: { reason: 'CrashLoopBackOff' } },
        lastState: { terminated: { message } },
      },
    });
    agent('cut', 'idle', false, { state: { terminated: { message: '{"mess' } } });
    await expect(uninstallNodes(api, log, { ...o, limitMs: 30 })).rejects.toMatchObject({
      code: 'NodesLeft',
      message:
        'Sealift is not off these nodes: down: its kubelet does not answer; pulling: waits (ImagePullBackOff); ' +
        'refuses: containerd does not start.; cut: {"mess. ' +
        'Mend that, or delete the Node object of one that does not come back; then run helm uninstall again. It goes on where it ' +
        'was: nodes that are done stay so. To keep Sealift instead, run helm rollback sealift <revision> -n sealift with the last ' +
        'revision that helm history sealift -n sealift shows: helm upgrade alone says "has no deployed releases".',
    });
  });
});
