// SPDX-License-Identifier: Apache-2.0
// What threads and processes of a container do not share with it. Of a thread, CRIU 4.1.1 restores the files, directory, umask
// and namespaces of its process, without a word; the plugin refuses these in the dump (native/criu-plugin/unshared.c). Semaphores
// that a process gives back at its end (SEM_UNDO) the plugin alone finds, because from outside every process with threads looks
// like one that has some. CRIU itself refuses namespaces of a process in the container, a process that is traced or whose first
// thread has ended, in the middle of the dump.
import { readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { unshared as unsharedOf, type Unshared } from '../../../../native/addon/index.ts';
import { isInContainer, readProcess, unlessEnded } from '../runtime/process.ts';

export interface UnsharedParts {
  /** The directory /proc. */
  proc: string;
  /** PID of the container's first process. */
  first: number | undefined;
  unshared?: (pid: number) => Promise<Unshared[]>;
}

/** CRIU dumps further mount namespaces, and none of the others. */
const OF_PROCESS = ['user', 'pid', 'net', 'ipc', 'uts', 'cgroup', 'time'] as const;

const kinds: Readonly<Record<Exclude<Unshared['what'], 'tracer'>, string>> = {
  first:
    'has ended its first thread (pthread_exit) while others run, which cannot be moved. Let main() wait for them.',
  files:
    'has a thread with a table of open files of its own (unshare(CLONE_FILES)), which cannot be moved. Use a process instead of that thread.',
  directory:
    'has a thread with a working directory and umask of its own (unshare(CLONE_FS)), which cannot be moved. Use a process instead of that thread.',
  namespace:
    'has a thread with a namespace of its own (unshare or setns), which cannot be moved. Use a process instead of that thread, which ends.',
  children:
    'has asked for a namespace for its next children (unshare), which cannot be moved. Let it ask in a process that ends.',
};

/** What of process `pid` a move would lose or CRIU refuse, and what to do; empty for one that has ended. */
export async function unsharedReasons(
  pid: number,
  { proc, first, unshared = unsharedOf }: UnsharedParts,
): Promise<string[]> {
  const reasons: string[] = [];
  for (const { what, tracer } of await unshared(pid)) {
    if (what === 'tracer') {
      if (tracer === undefined || (await isDump(tracer, proc))) continue;
      reasons.push(
        `is traced by process ${tracer} (a debugger, strace), which cannot be moved. Detach it, then create a new request.`,
      );
    } else {
      reasons.push(kinds[what]);
    }
  }
  const names = first === undefined || first === pid ? [] : await ownNamespaces(pid, first, proc);
  if (names.length > 0) {
    reasons.push(
      `is in ${names.length === 1 ? 'a namespace' : 'namespaces'} of its own (${names.join(', ')}: unshare, or a sandbox as ` +
        'bubblewrap and browsers have), which cannot be moved. Let it run without.',
    );
  }
  return reasons;
}

/** The node's CRIU, of a checkpoint that is being made. It lets go soon. */
const isDump = async (tracer: number, proc: string): Promise<boolean> =>
  (await readProcess(tracer, proc))?.name === 'criu' &&
  (await isInContainer(tracer, proc)) === false;

async function ownNamespaces(pid: number, first: number, proc: string): Promise<string[]> {
  const linkOf = (of: number, name: string): Promise<string | undefined> =>
    unlessEnded(readlink(join(proc, String(of), 'ns', name)));
  const differs = async (name: string): Promise<boolean> => {
    const [own, others] = await Promise.all([linkOf(pid, name), linkOf(first, name)]);
    return own !== undefined && others !== undefined && own !== others;
  };
  const found = await Promise.all(OF_PROCESS.map(differs));
  return OF_PROCESS.filter((_, nth) => found[nth]);
}
