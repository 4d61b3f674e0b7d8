// SPDX-License-Identifier: Apache-2.0
// Processes of the node that this agent has not started, found by what they were started with.
import { readdir, readFile } from 'node:fs/promises';
import { isErrno } from '../errors.ts';

interface Process {
  pid: number;
  parent: number;
  args: readonly string[];
}

/**
 * SIGKILL to every program that has this very argument, and to whatever they have started.
 * @returns how many
 */
export async function killWithArgument(argument: string): Promise<number> {
  const all = await processes();
  const doomed = new Set(all.filter((one) => one.args.includes(argument)).map(({ pid }) => pid));
  for (let before = -1; before !== doomed.size;) {
    before = doomed.size;
    for (const { pid, parent } of all) if (doomed.has(parent)) doomed.add(pid);
  }
  doomed.delete(process.pid);
  for (const pid of doomed) kill(pid);
  return doomed.size;
}

async function processes(): Promise<Process[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(names.map((name) => read(Number(name))));
  return found.filter((one) => one !== undefined);
}

/** undefined: it has ended meanwhile. */
async function read(pid: number): Promise<Process | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const args = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
    // A program's name may hold anything, also brackets and blanks.
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    return { pid, parent, args };
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ESRCH')) return undefined;
    throw error;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
}
