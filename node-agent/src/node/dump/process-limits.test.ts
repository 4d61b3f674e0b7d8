// SPDX-License-Identifier: Apache-2.0
// Real processes, but for what this kernel may not have.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { processReasons } from './process-limits.ts';

let child: ChildProcess | undefined;
afterEach(() => child?.kill('SIGKILL'));

/** What is said of a Python program that has run `lines`. */
async function reasonsOf(
  lines: readonly string[],
  prefix: readonly string[] = [],
): Promise<string[]> {
  child?.kill('SIGKILL');
  const program = [...lines, 'print("ready", flush=True); sys.stdin.readline()'].join('\n');
  const [command = '', ...args] = [
    ...prefix,
    'python3',
    '-c',
    `import ctypes, os, sys\n${program}`,
  ];
  child = spawn(command, args);
  await once(child.stdout ?? child, 'data');
  return processReasons(child.pid ?? 0, '/proc');
}

const root = process.getuid?.() === 0;

describe('what a restore cannot give a process again', () => {
  it('is what it has chosen for memory errors, but for the default', async () => {
    const set = (what: string) => reasonsOf([`ctypes.CDLL(None).prctl(${what}, 0, 0)`]);
    expect(await set('33, 1, 1')).toEqual([
      expect.stringMatching(/PR_MCE_KILL\), which cannot be/),
    ]);
    expect(await set('33, 1, 2')).toEqual([]);
  });

  it.runIf(root)('is a scheduling policy that CRIU does not know', async () => {
    expect(await reasonsOf([], ['chrt', '--reset-on-fork', '--fifo', '1'])).toEqual([]);
    const deadline = ['--sched-runtime', '1000000', '--sched-deadline', '100000000'];
    const chrt = ['chrt', '--deadline', ...deadline, '--sched-period', '100000000', '0'];
    expect(await reasonsOf([], chrt)).toEqual([
      expect.stringMatching(
        /^has a thread with the scheduling policy SCHED_DEADLINE, which cannot/,
      ),
    ]);
  });

  it('is such a policy of any thread', async () => {
    const proc = await mkdtemp(join(tmpdir(), 'sealift-limits-'));
    const tasks = join(proc, '42', 'task');
    const write = async (tid: string, policy: number) => {
      await mkdir(join(tasks, tid), { recursive: true });
      const stat = `${tid} (a) 1 (b) S ${'0 '.repeat(37)}${policy} 0 0\n`;
      await writeFile(join(tasks, tid, 'stat'), stat);
    };
    try {
      await write('42', 5);
      await write('43', 2);
      // This one has ended.
      await mkdir(join(tasks, '44'));
      expect(await processReasons(42, proc)).toEqual([]);
      await Promise.all([write('44', 7), write('45', 7), write('46', 9)]);
      expect(await processReasons(42, proc)).toEqual([
        expect.stringMatching(/scheduling policy SCHED_EXT, which/),
        expect.stringMatching(/scheduling policy 9, which/),
      ]);
    } finally {
      await rm(proc, { recursive: true });
    }
  });

  it('is a timer that signals its first thread, but not one for another thread', async () => {
    // timer_create(2), with SIGEV_THREAD_ID.
    const make = (how: string) =>
      reasonsOf([
        'import struct, threading',
        'call, timer = ctypes.CDLL(None).syscall, ctypes.c_void_p()',
        'event = lambda tid: struct.pack("QiiQ40x", 0, 10, 4, tid)',
        'make = lambda tid: call(222, 1, event(tid), ctypes.byref(timer)) and sys.exit(1)',
        how,
      ]);
    const other = '[make(threading.get_native_id()), made.set(), threading.Event().wait()]';
    const thread = `threading.Thread(target=lambda: ${other}, daemon=True).start()`;
    expect(await make(`made = threading.Event(); ${thread}; made.wait()`)).toEqual([]);
    expect(await make('make(os.getpid())')).toEqual([
      expect.stringMatching(/^has a timer that signals its first thread .*, which cannot be moved/),
    ]);
  });
});
