// SPDX-License-Identifier: Apache-2.0
// What a process itself is or has set that a restore cannot give it again. What it has asked prctl(2) or Landlock for and
// /proc does not show, only the dump finds out, from within the process (native/criu-plugin/confinement.c).
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { unlessErrno } from '../../support/errors.ts';
import { unlessEnded } from '../runtime/process.ts';

/** elf(5): e_ident[EI_CLASS] of 32-bit programs. */
const EI_CLASS = 4;
const ELFCLASS32 = 1;
/** include/linux/sched.h: PR_MCE_KILL was called, and not with PR_MCE_KILL_DEFAULT. */
const PF_MCE_PROCESS = 0x80;

/** What process `pid` is or has set, and what to do; empty for one that can be dumped, or has ended. */
export async function processReasons(pid: number, proc: string): Promise<string[]> {
  const reasons: string[] = [];
  if ((await elfClass(pid, proc)) === ELFCLASS32) {
    reasons.push('runs a 32-bit program, which cannot be moved. Build it for 64 bits.');
  }
  if (((await taskFlags(pid, proc)) & PF_MCE_PROCESS) !== 0) {
    reasons.push(
      'has chosen what memory errors do to it (prctl PR_MCE_KILL), which cannot be restored. Let it set ' +
        'PR_MCE_KILL_DEFAULT, then create a new request.',
    );
  }
  return reasons;
}

/** Of the program that it runs, even if its file was removed. */
async function elfClass(pid: number, proc: string): Promise<number | undefined> {
  const path = join(proc, String(pid), 'exe');
  const file = await unlessErrno(unlessEnded(open(path)), 'EACCES');
  if (!file) return undefined;
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(EI_CLASS + 1), 0, EI_CLASS + 1, 0);
    return bytesRead === EI_CLASS + 1 ? buffer[EI_CLASS] : undefined;
  } finally {
    await file.close();
  }
}

/** proc_pid_stat(5), field 9. */
async function taskFlags(pid: number, proc: string): Promise<number> {
  const text = await unlessEnded(readFile(join(proc, String(pid), 'stat'), 'utf8'));
  // The name before it may hold anything.
  return Number(text?.slice(text.lastIndexOf(')') + 2).split(' ')[6] ?? 0);
}
