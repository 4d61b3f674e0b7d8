// SPDX-License-Identifier: Apache-2.0
// A locked pod whose containers have ended, in the files of containerd and runc as these write them: the sandbox's
// config.json has the path that the CNI plugins got, those of its containers a path through the PID of its first task.
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Host } from '../host/host.ts';
import { BUNDLES, podContainers, RUNC_ROOT } from '../runtime/containers.ts';
import { Checkpointer } from './checkpointer.ts';

vi.mock('../../../../native/addon/index.ts', () => ({
  rxeNaks: async () => [],
  endTcpAt: async () => undefined,
}));

let root: string;
let did: string[];
beforeEach(async () => {
  did = [];
  root = await mkdtemp(join(tmpdir(), 'sealift-ended-'));
  await mkdir(join(root, 'var'));
  await symlink('/run', join(root, 'var/run'));
  await mkdir(join(root, 'run/netns'), { recursive: true });
  await writeFile(join(root, 'run/netns/cni-1'), '');
  await start('box', 'sandbox', '/var/run/netns/cni-1', 77);
  await start('c1', 'container', '/proc/77/ns/net', 78);
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function start(id: string, type: string, netns: string, pid: number): Promise<void> {
  const bundle = join(root, BUNDLES, id);
  await mkdir(bundle, { recursive: true });
  const annotations = {
    'io.kubernetes.cri.container-type': type,
    'io.kubernetes.cri.sandbox-uid': 'u',
    'io.kubernetes.cri.sandbox-id': 'box',
    'io.kubernetes.cri.container-name': 'main',
  };
  const linux = { namespaces: [{ type: 'network', path: netns }] };
  await writeFile(join(bundle, 'config.json'), JSON.stringify({ annotations, linux }));
  await mkdir(join(root, RUNC_ROOT, id), { recursive: true });
  const state = { init_process_pid: pid, created: '2026-01-01T00:00:00Z' };
  await writeFile(join(root, RUNC_ROOT, id, 'state.json'), JSON.stringify(state));
}

/** containerd removes both when a task ends. */
async function end(id: string): Promise<void> {
  await rm(join(root, BUNDLES, id), { recursive: true });
  await rm(join(root, RUNC_ROOT, id), { recursive: true });
}

function checkpointer(): Checkpointer {
  const record = (what: string) => async (netns: string) =>
    void did.push(`${what} ${netns.replace(root, '')}`);
  return new Checkpointer({
    host: new Host({ root }),
    lock: { lock: record('lock'), unlock: record('unlock') },
    driver: {
      resume: record('resume'),
      hide: record('hide'),
      interfaces: async () => ['net1'],
      devices: async () => [],
    },
    exec: { allow: async () => undefined },
  } as unknown as ConstructorParameters<typeof Checkpointer>[0]);
}

/** As the journal has it from the lock. */
async function lockedPod(): Promise<{ podUid: string; netns: string | undefined }> {
  const [container] = await podContainers(new Host({ root }), 'u');
  return { podUid: 'u', netns: container?.netns };
}

it('is unlocked and its device resumed when its only container has ended', async () => {
  const pod = await lockedPod();
  expect(pod.netns).toBe('/proc/77/ns/net');
  await end('c1');
  await checkpointer().resumePod(pod);
  expect(did).toEqual(['unlock /run/netns/cni-1', 'resume /run/netns/cni-1']);
});

it('is silenced when its only container has ended', async () => {
  const pod = await lockedPod();
  await end('c1');
  await checkpointer().stopPod(pod);
  expect(did).toEqual(['lock /run/netns/cni-1', 'hide /run/netns/cni-1']);
});

it('is left alone when its sandbox has ended, too: the PID may be that of another pod', async () => {
  const pod = await lockedPod();
  await end('c1');
  await end('box');
  await checkpointer().resumePod(pod);
  await checkpointer().stopPod(pod);
  expect(did).toEqual([]);
});
