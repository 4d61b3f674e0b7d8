// SPDX-License-Identifier: Apache-2.0
// A pod's devices, over a made-up driver, /proc and cgroup.
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type {
  Gid,
  RdmaDevice,
  RxeContext,
  RxeEventFile,
  RxeObject,
} from '../../../../native/addon/index.ts';
import { Host } from '../host/host.ts';
import { DeviceObjects } from './device-objects.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-objects-'));
  for (const directory of ['proc/42', 'proc/812', 'main', 'side']) {
    await mkdir(join(dir, directory), { recursive: true });
  }
  await writeFile(join(dir, 'main', 'cgroup.procs'), '42\n43\n');
  await writeFile(join(dir, 'side', 'cgroup.procs'), '50\n');
  await writeFile(join(dir, 'proc/812/stat'), `812 (ibv_de\nv) S 1 ${'0 '.repeat(17)}5 0\n`);
});
afterEach(() => rm(dir, { recursive: true }));

const context = (number: number, owner: number): RxeObject => {
  return { kind: 'context', number, context: number, owner };
};

/** What /proc shows of a descriptor. */
async function link(pid: number, fd: number, target: string): Promise<void> {
  await mkdir(join(dir, 'proc', String(pid), 'fd'), { recursive: true });
  await symlink(target, join(dir, 'proc', String(pid), 'fd', String(fd)));
}

/** The driver's answers, one a look; the last one is repeated. */
function objectsOver(
  lists: RxeObject[][],
  open: Record<number, RxeContext[]>,
  files: RxeEventFile[] = [],
  vlan: Gid[] = [],
) {
  const looks: string[] = [];
  let waits = 0;
  const objects = new DeviceObjects({
    host: new Host({ root: dir }),
    proc: join(dir, 'proc'),
    driver: {
      devices: async () => [{ name: 'rxe0', netdev: 'net1' } as RdmaDevice],
      gids: async () => [
        { index: 1, gid: '::ffff:10.0.0.1', netdev: 'net1', type: 'RoCE v2' },
        { index: 2, gid: '::ffff:10.0.0.2', netdev: 'net1', type: 'RoCE v2' },
        ...vlan,
      ],
      objects: async (_netns, device) => {
        looks.push(device);
        return lists[Math.min(looks.length, lists.length) - 1] ?? [];
      },
      contexts: async (_netns, _device, pid) => open[pid] ?? [],
      eventFiles: async (_netns, _device, pids) => files.filter(({ pid }) => pids.includes(pid)),
    },
    sleep: async () => void waits++,
  });
  const containers = [
    { name: 'main', cgroup: '/main' },
    { name: 'side', cgroup: '/side' },
  ];
  const check = async () => {
    for (const [pid, contexts] of Object.entries(open)) {
      await rm(join(dir, 'proc', pid, 'fd'), { recursive: true, force: true });
      for (const { fd } of contexts) await link(Number(pid), fd, '/dev/infiniband/uverbs0');
    }
    for (const { pid, fd } of files) await link(pid, fd, 'anon_inode:[infinibandevent]');
    await objects.check('/run/netns/x', containers);
  };
  const checkAddresses = (gids: [index: number, gid: string][]) =>
    objects.checkAddresses(
      '/run/netns/x',
      containers,
      gids.map(([index, gid]) => ({ interface: 'net1', index, gid })),
    );
  return { check, checkAddresses, looks, waits: () => waits };
}

const one: RxeContext = {
  ...{ fd: 3, context: 1, unreadEvents: 0 },
  ...{ channels: 0, asyncFiles: 1, others: [] },
};

describe('a pod’s devices', () => {
  it('cannot be moved with a region over memory that its process has unmapped', async () => {
    const memory = { start: 0x5000, length: 0x1000, isWritable: true };
    const region: RxeObject = {
      ...{ kind: 'mr', number: 0x2a1, handle: 4, context: 1, owner: 42 },
      ...{ isUserMemory: true, memory },
    };
    const pod = () => objectsOver([[context(1, 42), region]], { 42: [one] });
    await pod().check();
    await writeFile(join(dir, 'proc/42/maps'), '5000-6000 rw-p 0 00:00 0\n');
    await pod().check();
    await writeFile(join(dir, 'proc/42/maps'), '6000-7000 rw-p 0 00:00 0\n');
    await expect(pod().check()).rejects.toMatchObject({
      code: 'UnsupportedObject',
      message: expect.stringContaining('memory region 0x2a1') as string,
    });
  });

  it('cannot be moved with an interface that was made on the device’s own', async () => {
    const vlan: Gid[] = [{ index: 3, gid: 'fd00::1', netdev: 'net1.7', type: 'RoCE v2' }];
    const pod = objectsOver([[context(1, 42)]], { 42: [one] }, [], vlan);
    await expect(pod.check()).rejects.toMatchObject({
      code: 'UnsupportedObject',
      message: expect.stringMatching(/^RDMA device rxe0 has address fd00::1 .*net1\.7/) as string,
    });
  });

  it('can be moved if a process of a container has each context open', async () => {
    const pod = objectsOver([[context(1, 42)]], { 43: [one] });
    await pod.check();
    expect([pod.looks.length, pod.waits()]).toEqual([1, 0]);
  });

  it('cannot while a process outside has one open; the message names it', async () => {
    const pod = objectsOver([[context(1, 42), context(2, 812)]], { 43: [one] });
    await expect(pod.check()).rejects.toMatchObject({
      code: 'UnsupportedObject',
      message: expect.stringMatching(
        /^Process 812 \(ibv_de\?v\) has opened verbs context 2/,
      ) as string,
    });
    expect(pod.looks.length).toBe(3);
  });

  it('are looked at again when a context was closed between the lists', async () => {
    const pod = objectsOver([[context(1, 42), context(2, 43)], [context(1, 42)]], { 42: [one] });
    await pod.check();
    expect([pod.looks.length, pod.waits()]).toEqual([2, 1]);
  });

  it('cannot be moved if two containers share a context', async () => {
    const pod = objectsOver([[context(1, 42)]], { 42: [one], 50: [one] });
    await expect(pod.check()).rejects.toThrow(/^Containers main and side have verbs context 1/);
  });

  it('can be moved though each look meets something else under way', async () => {
    const looks = [2, 3, 4].map((number) => [context(1, 42), context(number, 43)]);
    const pod = objectsOver(looks, { 42: [one] });
    await pod.check();
    expect(pod.looks.length).toBe(2);
  });

  it('cannot be moved with a descriptor that no context of its container is of', async () => {
    const pod = objectsOver([[context(1, 42)]], { 42: [one] }, [{ pid: 42, fd: 9 }]);
    await expect(pod.check()).rejects.toThrow(
      /^Process 42 has a completion channel or a file of asynchronous events open \(descriptor 9\) whose/,
    );
    const known = { pid: 42, fd: 9, kind: 'channel', context: 1, unread: 7 } as const;
    await objectsOver([[context(1, 42)]], { 42: [one] }, [known]).check();
    const bare = objectsOver([[context(1, 42)]], { 42: [one] });
    await link(43, 5, '/dev/infiniband/uverbs0');
    await expect(bare.check()).rejects.toThrow(
      /^Process 43 has \/dev\/infiniband\/uverbs0 open \(descriptor 5\) without a verbs context/,
    );
  });

  it('cannot be moved to a target whose addresses come in another order', async () => {
    const queuePair: RxeObject = {
      ...{ kind: 'qp', number: 17, handle: 4, context: 1, owner: 42, type: 'RC' },
      sourceIndex: 2,
    };
    const pod = objectsOver([[context(1, 42), queuePair]], { 42: [one] });
    await pod.checkAddresses([[2, '::ffff:10.0.0.2']]);
    await expect(
      pod.checkAddresses([
        [1, '::ffff:10.0.0.2'],
        [2, '::ffff:10.0.0.1'],
      ]),
    ).rejects.toMatchObject({
      code: 'UnsupportedObject',
      message: expect.stringMatching(/^Process 42 has queue pair 17 .*has index 1/) as string,
    });
  });

  it('cannot be moved with a queue that is mapped in part', async () => {
    const queue: RxeObject = {
      ...{ kind: 'cq', number: 1, handle: 2, context: 1, owner: 42 },
      rings: [{ offset: 0x4000, size: 0x2000 }],
    };
    const pod = () => objectsOver([[context(1, 42), queue]], { 42: [one] });
    const line = (range: string) =>
      writeFile(
        join(dir, 'proc/42/maps'),
        `${range} rw-s 00004000 00:05 300        /dev/infiniband/uverbs0\n`,
      );
    await line('7f0000-7f2000');
    await pod().check();
    await line('7f0000-7f1000');
    await expect(pod().check()).rejects.toThrow(
      /^Process 42 has mapped a queue of a completion queue \(handle 2 of descriptor 3\) on rxe0 in part only \(at 0x7f0000\)/,
    );
  });
});
