// SPDX-License-Identifier: Apache-2.0
// Containers in the files of containerd and runc, written as they write them.
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Host } from '../host/host.ts';
import { inspectContainer, podContainers, RUNC_ROOT, sandboxNetns } from './containers.ts';

const config = (annotations: Record<string, string>, netns = 'cni-1'): string =>
  JSON.stringify({
    annotations,
    linux: { namespaces: [{ type: 'network', path: `/var/run/netns/${netns}` }] },
  });

describe('the containers of a pod', () => {
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'sealift-host-'));
    await mkdir(join(root, 'var'));
    await symlink('/run', join(root, 'var/run'));
    const bundles = join(root, 'run/containerd/io.containerd.runtime.v2.task/k8s.io');
    const add = async (
      id: string,
      type: string,
      uid: string,
      name: string,
      pid?: number,
      created = '2026-01-01T00:00:00Z',
    ) => {
      await mkdir(join(bundles, id), { recursive: true });
      const annotations = {
        'io.kubernetes.cri.container-type': type,
        'io.kubernetes.cri.sandbox-uid': uid,
        'io.kubernetes.cri.sandbox-id': 'box',
        'io.kubernetes.cri.sandbox-name': 'pod',
        'io.kubernetes.cri.sandbox-namespace': 'default',
        'io.kubernetes.cri.container-name': name,
      };
      const netns = type === 'sandbox' ? `cni-${id}` : 'cni-1';
      await writeFile(join(bundles, id, 'config.json'), config(annotations, netns));
      if (pid === undefined) return;
      await mkdir(join(root, RUNC_ROOT, id), { recursive: true });
      const state = JSON.stringify({ init_process_pid: pid, created });
      await writeFile(join(root, RUNC_ROOT, id, 'state.json'), state);
    };
    await add('box', 'sandbox', 'uid-1', '', 10);
    await add('c2', 'container', 'uid-1', 'second', 12);
    await add('c1', 'container', 'uid-1', 'first', 11);
    await add('c3', 'container', 'uid-2', 'other', 13);
    await add('c4', 'container', 'uid-1', 'not-started');
    await add('box2', 'sandbox', 'uid-1', '', 14, '2026-01-01T00:00:09Z');
    await add('box3', 'sandbox', 'uid-1', '', 15, '2026-01-01T00:00:05Z');
    await add('box4', 'sandbox', 'uid-1', '');
    await mkdir(join(bundles, 'being-created'));
  });
  afterAll(async () => {
    await rm(root, { recursive: true, force: true });
  });

  it('are found by the pod’s UID, without sandboxes and containers that are being created', async () => {
    const host = new Host({ root });
    const found = await podContainers(host, 'uid-1');
    expect(found.map(({ id, name, pid }) => ({ id, name, pid }))).toEqual([
      { id: 'c1', name: 'first', pid: 11 },
      { id: 'c2', name: 'second', pid: 12 },
    ]);
    expect(found[0]?.netns).toBe(join(root, 'run/netns/cni-1'));
    expect(await inspectContainer(host, 'box')).toBeUndefined();
    expect(await inspectContainer(host, 'being-created')).toBeUndefined();
  });

  it('are in the sandbox that was made last and has started', async () => {
    const host = new Host({ root });
    expect(await sandboxNetns(host, 'uid-1')).toBe(join(root, 'run/netns/cni-box2'));
    // Its sandbox has not started.
    expect(await sandboxNetns(host, 'uid-2')).toBeUndefined();
  });

  it('are read once, and again when their config.json was replaced', async () => {
    const host = new Host({ root });
    const first = (await podContainers(host, 'uid-1'))[0]?.spec;
    expect(first).toBeDefined();
    expect((await podContainers(host, 'uid-1'))[0]?.spec).toBe(first);
    const file = join(root, 'run/containerd/io.containerd.runtime.v2.task/k8s.io/c1/config.json');
    const text = JSON.stringify({
      ...first,
      annotations: { ...first?.annotations, more: 'x' },
    });
    await writeFile(`${file}.new`, text);
    await rename(`${file}.new`, file);
    const found = await podContainers(host, 'uid-1');
    expect(found[0]?.spec.annotations['more']).toBe('x');
  });
});
