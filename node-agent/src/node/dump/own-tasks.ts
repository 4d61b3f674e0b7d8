// SPDX-License-Identifier: Apache-2.0
// Which tasks of a container's cgroup a dump would have: those that descend from its first one. `kubectl exec` and exec probes
// put others beside them, and exec-sessions.ts waits until these have ended.
import { readProcess } from '../runtime/process.ts';

/**
 * The tasks less those that certainly do not descend from the first one.
 * @param tasks PIDs of all in the cgroup
 * @param first PID of the container's first; undefined, or none of the tasks: nothing is left out
 * @param proc the directory /proc
 */
export async function ownTasks(
  tasks: readonly number[],
  first: number | undefined,
  proc: string,
): Promise<readonly number[]> {
  if (first === undefined || !tasks.includes(first)) return tasks;
  const parents = new Map<number, number | undefined>();
  for (const pid of tasks) parents.set(pid, (await readProcess(pid, proc))?.parent);
  const isOwn = (pid: number): boolean => {
    let at: number | undefined = pid;
    // PIDs are used again: what was read of several moments may go round in a circle.
    for (let step = 0; step < parents.size && at !== undefined && at !== first; step++) {
      if (!parents.has(at)) return false;
      at = parents.get(at);
    }
    return true;
  };
  return tasks.filter(isOwn);
}
