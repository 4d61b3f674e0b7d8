// SPDX-License-Identifier: Apache-2.0
// Over real directories that stand for the node's.
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Api, Logger } from '../../../../kube/src/index.ts';
import { MemoryApi } from '../../testing/api.ts';
import { Host } from '../host/host.ts';
import { multusProblem } from './problems.ts';
import { daemonSets, isDone, uninstalling, uninstallNodes } from './uninstall-nodes.ts';
import { refuseWhileUsed, removeFiles, unloadDriver } from './uninstall.ts';

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

  it('go with all files but images of checkpoints', async () => {
    const at = (name: string): string => join(root, name);
    const directories = {
      ...{ installDir: at('opt'), stateDir: at('state'), runDir: at('run'), cniBinDir: at('cni') },
    };
    for (const file of [
      'opt/bin/criu',
      'state/journal/a',
      'run/agent.sock',
      'cni/sealift',
      'cni/bridge',
    ])
      await put(file);
    await put('state/checkpoints/one/manifest.json');
    await removeFiles(directories);
    expect(await readdir(at('opt'))).toEqual([]);
    expect(await readdir(at('run'))).toEqual([]);
    expect(await readdir(at('cni'))).toEqual(['bridge']);
    expect(await readdir(at('state'))).toEqual(['checkpoints']);
    await rm(at('state/checkpoints/one'), { recursive: true });
    await removeFiles(directories);
    expect(await readdir(at('state'))).toEqual([]);
  });
});

describe('the driver', () => {
  const kernel = (devices: Record<string, string[]> = {}) => {
    let loaded = true;
    return {
      moduleLoaded: () => loaded,
      deleteModule: async () => {
        loaded = false;
      },
      rdmaDevices: async (netns: string) =>
        (devices[netns] ?? []).map((name) => ({ name }) as never),
    };
  };
  const proc = (): string => join(root, 'proc');

  it('goes where this node has loaded it and nobody has a device', async () => {
    await put('proc/7/ns/net');
    const of = kernel();
    expect(await unloadDriver({ loadedHere: true, shared: false }, of, proc())).toBeUndefined();
    expect(of.moduleLoaded()).toBe(false);
  });

  it.each([
    ['another node has the same kernel', { loadedHere: true, shared: true }, 'other nodes'],
    ['it was there before', { loadedHere: false, shared: false }, 'before Sealift'],
  ])('stays where %s', async (_, o, why) => {
    const of = kernel();
    expect(await unloadDriver(o, of, proc())).toContain(why);
    expect(of.moduleLoaded()).toBe(true);
  });

  it('stays while anybody has a device, in whichever namespace: unloading would remove it', async () => {
    await put('proc/7/ns/net');
    await put('proc/8/ns/net');
    const of = kernel({ [`${proc()}/8/ns/net`]: ['rxe0'] });
    expect(await unloadDriver({ loadedHere: true, shared: false }, of, proc())).toContain('rxe0');
    expect(of.moduleLoaded()).toBe(true);
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
  const daemonSet = (status: object, generation = 2): object => ({
    metadata: { name: 'sealift-agent', namespace: 'sealift', generation },
    spec: {
      template: {
        spec: {
          containers: [{ name: 'agent', image: 'a', args: ['run'], volumeMounts: [{ name: 'x' }] }],
          initContainers: [
            { name: 'install', image: 'a', args: ['install'], volumeMounts: [{ name: 'x' }] },
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
    const { template } = (
      uninstalling(daemonSets.parse(daemonSet(done))) as ReturnType<typeof daemonSets.parse>
    ).spec;
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

  it('are waited for, and a DaemonSet that is gone is not', async () => {
    const stored = new MemoryApi();
    const patches: object[] = [];
    const api = {
      get: stored.get.bind(stored),
      merge: async (...[, , , patch]: [unknown, unknown, unknown, object]) => patches.push(patch),
    } as unknown as Api;
    const log = { info: () => undefined } as unknown as Logger;
    const o = { namespace: 'sealift', name: 'sealift-agent', everyMs: 5 };
    await uninstallNodes(api, log, o);
    expect(patches).toEqual([]);
    stored.put(daemonSets, daemonSet({ ...done, numberAvailable: 1 }));
    let ended = false;
    const waiting = uninstallNodes(api, log, o).then(() => (ended = true));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([patches.length, ended]).toEqual([1, false]);
    stored.put(daemonSets, daemonSet(done));
    await waiting;
  });
});
