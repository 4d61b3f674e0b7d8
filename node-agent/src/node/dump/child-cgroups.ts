// SPDX-License-Identifier: Apache-2.0
// Cgroups that a container has made below its own, which takes a privileged one: systemd, a container runtime, a batch system
// in it. CRIU runs with `--manage-cgroups-mode ignore`, because the kubelet and runc make and limit a container's cgroup. So a
// restore puts all of its tasks into that one: limits and accounts of those below, and their names, would be lost.
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { unlessErrno } from '../../support/errors.ts';
import { Cgroup } from '../runtime/cgroup.ts';
import { printable } from '../runtime/process.ts';

const NAMED = 5;

/**
 * Why the cgroups below that of a container cannot be moved, and what to do; undefined if there are none. One without tasks
 * and limits counts too: the container has made it to use it.
 * @param dir the container's cgroup, as the agent sees it
 */
export async function reasonOfChildCgroups(
  container: string,
  dir: string,
): Promise<string | undefined> {
  const files = (await unlessErrno(readdir(dir, { recursive: true }), 'ENOENT', 'ENODEV')) ?? [];
  const names = files
    .filter((file) => file.endsWith('/cgroup.procs'))
    .map(dirname)
    .sort();
  if (names.length === 0) return undefined;
  let tasks = 0;
  for (const top of names.filter((name) => !name.includes('/')))
    tasks += (await new Cgroup(join(dir, top)).tasks()).length;
  const shown = names.slice(0, NAMED).map((name) => printable(name));
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : '';
  const processes = tasks === 1 ? '1 process' : `${tasks} processes`;
  return (
    `Container ${container} has made cgroups below its own (${shown.join(', ')}${more}, with ${processes}), which cannot be moved: ` +
    "a restore puts all processes into the container's own, without their limits. Move the processes there " +
    '(/sys/fs/cgroup/cgroup.procs) and remove the others (rmdir), then create a new request.'
  );
}
