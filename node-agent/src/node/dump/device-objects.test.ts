// SPDX-License-Identifier: Apache-2.0
// A pod's devices, over a made-up driver, /proc and cgroup.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RxeContext, RxeObject } from '../../../../native/addon/index.ts';
import type { RdmaDevice } from '../../../../native/addon/index.ts';
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

/** The driver's answers, one a look; the last one is repeated. */
function objectsOver(lists: RxeObject[][], open: Record<number, RxeContext[]>) {
  const looks: string[] = [];
  let waits = 0;
  const objects = new DeviceObjects({
    host: new Host({ root: dir }),
    proc: join(dir, 'proc'),
    driver: {
      devices: async () => [{ name: 'rxe0' } as RdmaDevice],
      objects: async (_netns, device) => {
        looks.push(device);
        return lists[Math.min(looks.length, lists.length) - 1] ?? [];
      },
      contexts: async (_netns, _device, pid) => open[pid] ?? [],
    },
    sleep: async () => void waits++,
  });
  const containers = [
    { name: 'main', cgroup: '/main' },
    { name: 'side', cgroup: '/side' },
  ];
  return { check: () => objects.check('/run/netns/x', containers), looks, waits: () => waits };
}

const one: RxeContext = { fd: 3, context: 1, unreadEvents: 0 };

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
});
