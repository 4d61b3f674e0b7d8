// SPDX-License-Identifier: Apache-2.0
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeMemory, type NodeMemoryPaths } from './node-memory.ts';

const MIB = 2 ** 20;

describe('a node’s memory', () => {
  let root: string;
  let paths: NodeMemoryPaths;
  const files = async (all: Record<string, string | number>): Promise<void> => {
    for (const [name, content] of Object.entries(all)) {
      await mkdir(dirname(join(root, name)), { recursive: true });
      await writeFile(join(root, name), `${content}\n`);
    }
  };
  const available = async (): Promise<number | undefined> => (await nodeMemory(paths))?.available;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'sealift-memory-'));
    paths = { root, cgroups: join(root, 'cgroup'), images: join(root, 'images') };
    await files({
      'proc/meminfo':
        'MemTotal: 4194304 kB\nMemFree: 100 kB\nMemAvailable:    2097152 kB\nSwapFree: 9 kB',
    });
  });
  afterEach(() => rm(root, { recursive: true }));

  it('is what the kernel can give without swapping', async () => {
    expect(await nodeMemory(paths)).toEqual({
      ...{ available: 2048 * MIB, hugePages: new Map(), keepsImages: false },
    });
  });

  it.each([
    'kubepods',
    'kubepods.slice',
    'kubelet.slice/kubelet-kubepods.slice',
    'kubelet/kubepods',
  ])('is no more than %s may take still, page cache aside', async (all) => {
    await files({
      [`cgroup/${all}/memory.max`]: 1024 * MIB,
      [`cgroup/${all}/memory.stat`]: `anon ${300 * MIB}\nfile ${700 * MIB}\nshmem ${24 * MIB}`,
      'cgroup/system.slice/memory.max': 1,
      'cgroup/kubelet-note': '',
    });
    expect(await available()).toBe(700 * MIB);
  });

  it.each<[string, string | number, number]>([
    ['without a limit', 'max', 2048 * MIB],
    ['with a larger limit', 8192 * MIB, 2048 * MIB],
    ['beyond its limit', 100 * MIB, 0],
  ])('is that of a node whose pods are %s', async (_name, limit, bytes) => {
    await files({
      'cgroup/kubepods.slice/memory.max': limit,
      'cgroup/kubepods.slice/memory.stat': `anon ${200 * MIB}`,
    });
    expect(await available()).toBe(bytes);
  });

  it('is no more than the container may take that the node is (kind)', async () => {
    await files({ 'cgroup/memory.max': 512 * MIB, 'cgroup/memory.stat': `anon ${12 * MIB}` });
    expect(await available()).toBe(500 * MIB);
  });

  it('counts huge pages that nobody has mapped', async () => {
    const dir = 'sys/kernel/mm/hugepages';
    await files({
      [`${dir}/hugepages-2048kB/free_hugepages`]: 10,
      [`${dir}/hugepages-2048kB/resv_hugepages`]: 3,
      [`${dir}/hugepages-1048576kB/free_hugepages`]: 1,
      [`${dir}/hugepages-1048576kB/resv_hugepages`]: 2,
    });
    expect((await nodeMemory(paths))?.hugePages).toEqual(
      new Map([
        [2 * MIB, 14 * MIB],
        [1024 * MIB, 0],
      ]),
    );
  });

  it('is not known of a kernel that does not say it', async () => {
    await files({ 'proc/meminfo': 'MemTotal: 4194304 kB' });
    expect(await nodeMemory(paths)).toBeUndefined();
  });
});

describe('this machine', () => {
  const of = (images: string) => nodeMemory({ root: '/', cgroups: '/sys/fs/cgroup', images });

  it('has some memory, and less than all', async () => {
    const found = await of('/');
    expect(found?.available).toBeGreaterThan(MIB);
    expect(found?.available).toBeLessThan(2 ** 50);
  });

  it('keeps in memory what is on a tmpfs', async () => {
    expect((await of('/dev/shm'))?.keepsImages).toBe(true);
    expect((await of('/proc'))?.keepsImages).toBe(false);
  });
});
