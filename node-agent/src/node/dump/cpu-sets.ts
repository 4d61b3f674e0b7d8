// SPDX-License-Identifier: Apache-2.0
// Threads that are confined to some of the processors that the kubelet's CPU manager (policy static) has given their container. The
// target's container gets others, so that the restore would fail (native/criu-plugin/cpu_affinity.c), in the pause, on each node. A
// container that has all processors of the pods is no such case: no pod moves to a node with fewer of them (docs/moved-pods.md, "CPU").
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { unlessErrno } from '../../support/errors.ts';
import { unlessEnded } from '../runtime/process.ts';

/** "0-3,8" (kernel documentation, core-api/printk-formats, %*pbl). */
export function parseCpus(list: string): Set<number> {
  const cpus = new Set<number>();
  for (const range of list
    .trim()
    .split(',')
    .filter((one) => one !== '')) {
    const [from = NaN, to = from] = range.split('-').map(Number);
    for (let cpu = from; cpu <= to; cpu++) cpus.add(cpu);
  }
  return cpus;
}

/** Undefined where the cgroup does not have the controller. */
async function effectiveCpus(cgroup: string): Promise<string | undefined> {
  const file = join(cgroup, 'cpuset.cpus.effective');
  return (await unlessErrno(readFile(file, 'utf8'), 'ENOENT', 'ENODEV'))?.trim();
}

/** The kubelet gives processors to containers of Guaranteed pods alone. The cgroups of others are below that of their class. */
const isGuaranteed = (cgroup: string): boolean => !/burstable|besteffort/.test(cgroup);

/**
 * The processors of a container that has fewer than its pod. Undefined where they are what the manager leaves to all others: nodes
 * that are alike leave the same ones.
 * @param cgroup the container's, as the agent sees it
 */
export async function narrowedCpus(cgroup: string): Promise<string | undefined> {
  if (!isGuaranteed(cgroup)) return undefined;
  const [own, pods] = [await effectiveCpus(cgroup), await effectiveCpus(dirname(cgroup))];
  return own !== undefined && pods !== undefined && own !== pods ? own : undefined;
}

/**
 * Why process `pid` cannot be moved, and what to do; undefined: each of its threads may run wherever its container may, or it has
 * ended.
 * @param narrowed of its container
 */
export async function reasonOfAffinity(
  pid: number,
  narrowed: string,
  proc: string,
): Promise<string | undefined> {
  const directory = join(proc, String(pid), 'task');
  const all = parseCpus(narrowed);
  for (const tid of (await unlessEnded(readdir(directory))) ?? []) {
    const status = await unlessEnded(readFile(join(directory, tid, 'status'), 'utf8'));
    const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status ?? '')?.[1];
    const own = list === undefined ? all : parseCpus(list);
    if ([...all].every((cpu) => own.has(cpu))) continue;
    return (
      `has confined a thread to the processors ${list}, of ${narrowed} that its container has on this node: another node gives it ` +
      "others (the kubelet's CPU manager), and the thread cannot be moved. Let it run on all that its container has (taskset, " +
      'OMP_PROC_BIND=false, mpirun --bind-to none), or let the container have no processors of its own (a CPU limit that is no ' +
      'whole number).'
    );
  }
  return undefined;
}
