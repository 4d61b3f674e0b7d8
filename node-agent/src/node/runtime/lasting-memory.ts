// SPDX-License-Identifier: Apache-2.0
// How much memory of a cgroup cannot be dropped and read again: what a pod takes on the node that it moves to, and what keeps a
// cgroup from its limit. The kernel's Documentation/admin-guide/cgroup-v2.rst has the files.
import { basename, dirname, join } from 'node:path';
import type { PodMemory } from '../../../../crds/src/index.ts';
import { unlessErrno } from '../../support/errors.ts';
import { namesIn, textOf } from '../../support/optional-file.ts';
import type { Host } from '../host/host.ts';
import { findCgroup } from './cgroup.ts';
import type { Container } from './containers.ts';
import { podMemory } from './pod-memory.ts';

/**
 * Bytes in RAM: memory that no file backs, files of tmpfs, locked pages of other files, and the kernel's own (page tables, sockets).
 * Pages of an RDMA region are among them. Huge pages and what is on swap are not.
 * @param stat content of memory.stat
 */
export function lastingBytes(stat: string): number {
  const fields = new Map<string, number>();
  for (const [, name = '', bytes] of stat.matchAll(/^(\w+) (\d+)$/gm))
    fields.set(name, Number(bytes));
  const field = (name: string): number => fields.get(name) ?? 0;
  // Locked pages are on a list of their own, whatever backs them.
  const listed = field('active_anon') + field('inactive_anon') + field('unevictable');
  const pages = Math.max(field('anon') + field('shmem'), listed);
  return pages + Math.max(0, field('kernel') - field('slab_reclaimable')) + field('sock');
}

/** @returns undefined: no such cgroup, or without a memory controller (cgroup v1) */
export async function lastingMemory(dir: string): Promise<number | undefined> {
  const stat = await content(join(dir, 'memory.stat'));
  return stat === undefined ? undefined : lastingBytes(stat);
}

const UNITS: Readonly<Record<string, number>> = { KB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30 };

/** `hugetlb.2MB.current`: bytes. Without the controller there is no such file. */
async function hugePagesIn(dir: string): Promise<NonNullable<PodMemory['hugePages']>> {
  const found: NonNullable<PodMemory['hugePages']> = [];
  for (const name of (await namesIn(dir)).sort()) {
    const [, number, unit = ''] = /^hugetlb\.(\d+)([KMG]B)\.current$/.exec(name) ?? [];
    if (number === undefined) continue;
    const bytes = await numberIn(join(dir, name));
    if (bytes > 0) found.push({ pageSize: Number(number) * (UNITS[unit] ?? 1), bytes });
  }
  return found;
}

const numberIn = async (path: string): Promise<number> => Number((await content(path)) ?? 0);

/** Undefined of a cgroup that is gone, too. */
const content = (path: string): Promise<string | undefined> => unlessErrno(textOf(path), 'ENODEV');

/**
 * What a pod has now. Of its own cgroup, above those of its containers: that has also what ended containers have left in
 * memory-backed volumes. What is on swap counts: the restore brings it back into RAM.
 * @returns undefined: it cannot be told
 */
export async function lastingMemoryOf(
  host: Pick<Host, 'path'>,
  podUid: string,
  containers: readonly Pick<Container, 'cgroup'>[],
): Promise<PodMemory | undefined> {
  const own = containers.flatMap(({ cgroup }) => cgroup ?? []);
  const parents = new Set(own.map((one) => dirname(one)));
  const [pod = ''] = parents;
  const isPods = parents.size === 1 && isOfPod(pod, podUid);
  const sum = { bytes: 0, hugePages: new Map<number, number>() };
  let isKnown = false;
  for (const path of isPods ? [pod] : own) {
    const dir = host.path(path);
    const bytes = await lastingMemory(dir);
    if (bytes === undefined) continue;
    isKnown = true;
    sum.bytes += bytes + (await numberIn(join(dir, 'memory.swap.current')));
    for (const { pageSize, bytes: more } of await hugePagesIn(dir))
      sum.hugePages.set(pageSize, (sum.hugePages.get(pageSize) ?? 0) + more);
  }
  if (!isKnown) return undefined;
  const hugePages = [...sum.hugePages].map(([pageSize, bytes]) => ({ pageSize, bytes }));
  const { anon: imageBytes } = await podMemory(host, containers);
  return { bytes: sum.bytes, imageBytes, ...(hugePages.length > 0 && { hugePages }) };
}

/**
 * Bytes in RAM that a pod has already which is on its way here, whether runc knows its containers or not: CRIU restores a
 * container's pages in that container's cgroup.
 * @returns 0: it has no cgroup of its own
 */
export async function arrivedMemory(host: Pick<Host, 'path'>, podUid: string): Promise<number> {
  if (podUid === '') return 0;
  const root = host.path('/sys/fs/cgroup');
  for (const name of namesOfPod(podUid)) {
    const dir = await findCgroup(root, name);
    if (dir !== undefined) return (await lastingMemory(dir)) ?? 0;
  }
  return 0;
}

/** The kubelet names a pod's cgroup `pod<UID>`, or as a slice of systemd's, where a dash would mean another level. */
const namesOfPod = (podUid: string): readonly string[] => [
  `pod${podUid}`,
  `pod${podUid.replaceAll('-', '_')}.slice`,
];

const isOfPod = (dir: string, podUid: string): boolean =>
  namesOfPod(podUid).some((name) => basename(dir).includes(name));
