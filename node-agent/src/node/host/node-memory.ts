// SPDX-License-Identifier: Apache-2.0
// How much memory this node has for pods that move here: what the kernel can give without swapping, and what the kubelet's limit on
// all pods leaves of it.
import { join } from 'node:path';
import type { NodeMemory } from '../../../../crds/src/index.ts';
import { unlessErrno } from '../../support/errors.ts';
import { namesIn, textOf } from '../../support/optional-file.ts';
import { lastingMemory } from '../runtime/lasting-memory.ts';
import { isInMemory } from './in-memory.ts';

export interface NodeMemoryPaths {
  /** Where the kernel's /proc and /sys are. */
  readonly root: string;
  /** The host's `/sys/fs/cgroup`, as the agent sees it. */
  readonly cgroups: string;
  /** Where images arrive. */
  readonly images: string;
}

/** @returns undefined: the kernel does not say it */
export async function nodeMemory(paths: NodeMemoryPaths): Promise<NodeMemory | undefined> {
  const info = await textOf(join(paths.root, 'proc/meminfo'));
  const [, kilobytes] = /^MemAvailable:\s+(\d+) kB$/m.exec(info ?? '') ?? [];
  if (kilobytes === undefined) return undefined;
  const rooms = await Promise.all((await limitedCgroups(paths.cgroups)).map(roomIn));
  return {
    available: Math.max(0, Math.min(Number(kilobytes) * 1024, ...rooms)),
    hugePages: await freeHugePages(join(paths.root, 'sys/kernel/mm/hugepages')),
    keepsImages: await isInMemory(paths.images),
  };
}

/** Those that are free and that no mapping has reserved already. */
async function freeHugePages(dir: string): Promise<Map<number, number>> {
  const found = new Map<number, number>();
  for (const name of (await namesIn(dir)).sort()) {
    const [, kilobytes] = /^hugepages-(\d+)kB$/.exec(name) ?? [];
    if (kilobytes === undefined) continue;
    const count = async (file: string): Promise<number> =>
      Number((await textOf(join(dir, name, file))) ?? 0);
    const free = (await count('free_hugepages')) - (await count('resv_hugepages'));
    found.set(Number(kilobytes) * 1024, Math.max(0, free) * Number(kilobytes) * 1024);
  }
  return found;
}

/** With the kubelet's cgroup driver `systemd`, and with `cgroupfs`. */
const ALL_PODS = /^(.+-)?kubepods(\.slice)?$/;

/**
 * The cgroup of all pods, which the kubelet limits to what the node has for them, and that of the node itself where it is a
 * container. The kubelet's may be one level down (`--cgroup-root`).
 */
async function limitedCgroups(root: string): Promise<string[]> {
  const found = [root];
  for (const name of await namesIn(root)) {
    if (ALL_PODS.test(name)) found.push(join(root, name));
    else if (/^kubelet/.test(name))
      for (const below of await directoriesIn(join(root, name)))
        if (ALL_PODS.test(below)) found.push(join(root, name, below));
  }
  return found;
}

/** The name may as well be a file's. */
const directoriesIn = async (dir: string): Promise<string[]> =>
  (await unlessErrno(namesIn(dir), 'ENOTDIR')) ?? [];

/** What the cgroup's limit leaves, page cache that can be dropped included; Infinity: it has none. */
async function roomIn(dir: string): Promise<number> {
  const limit = Number((await textOf(join(dir, 'memory.max')))?.trim());
  if (!Number.isFinite(limit)) return Infinity;
  return limit - ((await lastingMemory(dir)) ?? 0);
}
