// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { arrivedMemory, lastingBytes, lastingMemory, lastingMemoryOf } from './lasting-memory.ts';

/** As a kernel 6.12 writes it, with the fields that count and some that do not. */
const stat = (fields: Record<string, number>): string =>
  Object.entries({ file: 9_000_000, file_mapped: 4096, file_dirty: 0, ...fields })
    .map(([name, bytes]) => `${name} ${bytes}\n`)
    .join('');

describe('lasting memory', () => {
  it.each<[string, Record<string, number>, number]>([
    ['is none of a cgroup with page cache alone', { active_file: 9_000_000 }, 0],
    ['is what no file backs', { anon: 70, shmem: 30, active_anon: 60, inactive_anon: 40 }, 100],
    ['is locked memory, once', { anon: 70, shmem: 30, inactive_anon: 40, unevictable: 60 }, 100],
    ['is locked pages of files, too', { anon: 50, inactive_anon: 50, unevictable: 25 }, 75],
    [
      'is the kernel’s own, without what it can drop',
      { kernel: 100, slab_reclaimable: 30, slab: 50, pagetables: 10, sock: 5 },
      75,
    ],
    ['is not negative while the counters settle', { kernel: 1, slab_reclaimable: 2 }, 0],
    ['is not that of zswap or of swap', { zswap: 10, zswapped: 90, swapcached: 7 }, 0],
  ])('%s', (_name, fields, bytes) => {
    expect(lastingBytes(stat(fields))).toBe(bytes);
  });
});

describe('a pod', () => {
  let root: string;
  const uid = '0a1b-2c3d';
  const host = { path: (path: string) => join(root, path) };
  const cgroup = async (path: string, files: Record<string, string>): Promise<string> => {
    await mkdir(join(root, path), { recursive: true });
    for (const [name, text] of Object.entries(files)) await writeFile(join(root, path, name), text);
    return path;
  };
  const holds = (anon: number): Record<string, string> => ({ 'memory.stat': stat({ anon }) });

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'sealift-memory-'));
  });
  afterEach(() => rm(root, { recursive: true }));

  it.each(['kubepods/burstable/pod0a1b-2c3d', 'kubepods-burstable-pod0a1b_2c3d.slice'])(
    'has what its own cgroup %s has, ended containers included',
    async (pod) => {
      await cgroup(pod, holds(1000));
      const containers = [
        { cgroup: await cgroup(`${pod}/one`, holds(100)) },
        { cgroup: await cgroup(`${pod}/two`, holds(200)) },
      ];
      expect(await lastingMemoryOf(host, uid, containers)).toEqual({
        bytes: 1000,
        imageBytes: 300,
      });
    },
  );

  it('has what its containers have, where their cgroups are elsewhere', async () => {
    const containers = [
      { cgroup: await cgroup('system.slice/one', holds(100)) },
      { cgroup: await cgroup('system.slice/two', holds(200)) },
    ];
    await cgroup('system.slice', holds(5000));
    expect(await lastingMemoryOf(host, uid, containers)).toEqual({ bytes: 300, imageBytes: 300 });
  });

  it('has what is on swap, and huge pages by their size', async () => {
    const pod = await cgroup(`pod${uid}`, {
      ...holds(100),
      'memory.swap.current': '50\n',
      'hugetlb.2MB.current': '4194304\n',
      'hugetlb.2MB.rsvd.current': '8388608\n',
      'hugetlb.1GB.current': '0\n',
      'hugetlb.64KB.current': '65536\n',
    });
    const containers = [{ cgroup: await cgroup(`${pod}/one`, {}) }];
    expect(await lastingMemoryOf(host, uid, containers)).toEqual({
      ...{ bytes: 150, imageBytes: 0 },
      hugePages: [
        { pageSize: 2 ** 21, bytes: 2 ** 22 },
        { pageSize: 2 ** 16, bytes: 2 ** 16 },
      ],
    });
  });

  it('is not known with cgroup v1, or once its cgroups are gone', async () => {
    expect(await lastingMemoryOf(host, uid, [{}])).toBeUndefined();
    expect(await lastingMemoryOf(host, uid, [{ cgroup: `/pod${uid}/one` }])).toBeUndefined();
  });

  it.each([
    'kubepods/burstable/pod0a1b-2c3d',
    'kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a1b_2c3d.slice',
    'kubelet/kubepods/pod0a1b-2c3d',
  ])('has, while it is restored in %s, what is in RAM already', async (pod) => {
    await cgroup(`sys/fs/cgroup/${pod}`, { ...holds(1000), 'memory.swap.current': '50\n' });
    await cgroup(`sys/fs/cgroup/${pod}/one`, holds(400));
    expect(await arrivedMemory(host, uid)).toBe(1000);
    expect(await arrivedMemory(host, 'ffff'), 'no such cgroup').toBe(0);
    expect(await arrivedMemory(host, ''), 'no pod').toBe(0);
  });
});

/** The test's own cgroup, where the memory controller is of version 2. */
const own = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1] ?? '';
const dir = join('/sys/fs/cgroup', own);

it.skipIf(!existsSync(join(dir, 'memory.stat')))(
  'grows with memory that the test writes to, in a real cgroup',
  async () => {
    const before = (await lastingMemory(dir)) ?? 0;
    const held = Buffer.alloc(256 * 2 ** 20, 1);
    // The kernel gathers its counters every two seconds at the latest.
    await expect.poll(() => lastingMemory(dir)).toBeGreaterThan(before + held.length / 2);
  },
);
