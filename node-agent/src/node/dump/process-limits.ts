// SPDX-License-Identifier: Apache-2.0
// What a process itself is or has set that a restore cannot give it again. What it has asked prctl(2) or Landlock for and
// /proc does not show, only the dump finds out, from within the process (native/criu-plugin/confinement.c).
import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { unlessErrno } from '../../support/errors.ts';
import { unlessEnded } from '../runtime/process.ts';

/** elf(5): e_ident[EI_CLASS] of 32-bit programs. */
const EI_CLASS = 4;
const ELFCLASS32 = 1;
/** include/linux/sched.h: PR_MCE_KILL was called, and not with PR_MCE_KILL_DEFAULT. */
const PF_MCE_PROCESS = 0x80;
/** include/uapi/linux/sched.h: policies that CRIU 4.1.1 restores: SCHED_OTHER, FIFO, RR, BATCH, IDLE. */
const POLICIES: readonly number[] = [0, 1, 2, 3, 5];
const NAMES: Readonly<Record<number, string>> = { 6: 'SCHED_DEADLINE', 7: 'SCHED_EXT' };
/** proc_pid_stat(5): fields after the name, which is the second. */
const FLAGS = 9 - 3;
const POLICY = 41 - 3;

/** What process `pid` is or has set, and what to do; empty for one that can be dumped, or has ended. */
export async function processReasons(pid: number, proc: string): Promise<string[]> {
  const reasons: string[] = [];
  if ((await elfClass(pid, proc)) === ELFCLASS32) {
    reasons.push('runs a 32-bit program, which cannot be moved. Build it for 64 bits.');
  }
  const process = join(proc, String(pid));
  if (((await numberOf(process, FLAGS)) & PF_MCE_PROCESS) !== 0) {
    reasons.push(
      'has chosen what memory errors do to it (prctl PR_MCE_KILL), which cannot be restored. Let it set ' +
        'PR_MCE_KILL_DEFAULT, then create a new request.',
    );
  }
  for (const policy of await otherPolicies(process)) {
    reasons.push(
      `has a thread with the scheduling policy ${NAMES[policy] ?? policy}, which cannot be moved. Give it another one (chrt, ` +
        'sched_setscheduler), then create a new request.',
    );
  }
  if (await signalsFirstThread(pid, process)) {
    reasons.push(
      'has a timer that signals its first thread (timer_create with SIGEV_THREAD_ID), which cannot be moved. Let it delete the ' +
        'timer (a profiler that is running?), or have the process or another thread signalled.',
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

/** A number of a task's `stat`; 0 of a task that has ended. */
async function numberOf(task: string, nth: number): Promise<number> {
  const text = await unlessEnded(readFile(join(task, 'stat'), 'utf8'));
  // The name before it may hold anything.
  return Number(text?.slice(text.lastIndexOf(')') + 2).split(' ')[nth] ?? 0);
}

/** Policies of its threads that CRIU's validate_sched_parm() fails on, in the restore. */
async function otherPolicies(process: string): Promise<Set<number>> {
  const directory = join(process, 'task');
  const threads = (await unlessEnded(readdir(directory))) ?? [];
  const policies = await Promise.all(threads.map((tid) => numberOf(join(directory, tid), POLICY)));
  return new Set(policies.filter((policy) => !POLICIES.includes(policy)));
}

/** CRIU writes such a timer with a wrong thread (native/criu-plugin/unrestorable.h), and the restore fails. */
async function signalsFirstThread(pid: number, process: string): Promise<boolean> {
  const text = (await unlessEnded(readFile(join(process, 'timers'), 'utf8'))) ?? '';
  return new RegExp(`^notify: [a-z]+/tid\\.${pid}$`, 'm').test(text);
}
