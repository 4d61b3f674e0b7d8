// SPDX-License-Identifier: Apache-2.0
// Real processes, whose threads call unshare(2) and the like. The kernel says what they share.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Host } from '../host/host.ts';
import { UnmovableFiles } from './unmovable.ts';
import { unsharedReasons } from './unshared.ts';

const root = process.getuid?.() === 0;

let children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  children = [];
});

const READY = 'print("ready", flush=True); time.sleep(1000)';

/** A process with three threads, the second of which runs `lines`, the first of which `last`. */
const run = (
  lines: readonly string[],
  prefix: readonly string[] = [],
  last = 'time.sleep(1000)',
): Promise<number> =>
  runAlone(
    [
      'def other():',
      ...[...lines, READY].map((line) => `  ${line}`),
      'threading.Thread(target=other).start(); threading.Thread(target=time.sleep, args=(1000,)).start()',
      last,
    ],
    prefix,
  );

/** A process without further threads. */
async function runAlone(lines: readonly string[], prefix: readonly string[]): Promise<number> {
  const program = [
    'import ctypes, os, sys, threading, time; libc = ctypes.CDLL(None, use_errno=True)',
    'def ok(result): assert result >= 0, os.strerror(ctypes.get_errno()); return result',
    ...lines,
  ];
  const [command = '', ...args] = [...prefix, 'python3', '-c', program.join('\n')];
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await once(child.stdout, 'data');
  return child.pid ?? 0;
}

const reasonsOf = (pid: number, first?: number): Promise<string[]> =>
  unsharedReasons(pid, { proc: '/proc', first });

const unshare = (flags: number): string[] => [`ok(libc.unshare(${flags}))`];
const [FILES, FS, UTS, PID] = [0x400, 0x200, 0x04000000, 0x20000000];
const haveSemaphore = 'sem = ok(libc.semget(0, 1, 0o600)); ok(libc.semctl(sem, 0, 16, 1))';
/** semop(2) with SEM_UNDO: a struct sembuf is three numbers of 16 bits. */
const takeSemaphore = 'ok(libc.semop(sem, (ctypes.c_int16 * 3)(0, -1, 0x1000), 1))';

/** exit(2), of the calling thread alone. */
const exitOfThread = 'libc.syscall(60, 0)';

/** With an IPC namespace of its own, which semaphores go with. */
const ownIpc = ['unshare', '--ipc'];

describe.runIf(root)('what a thread does not share with its process', () => {
  it('is nothing for threads as pthread_create makes them', async () => {
    const pid = await run(['pass']);
    expect(await reasonsOf(pid, pid)).toEqual([]);
    expect(await reasonsOf(2 ** 31 - 1, pid)).toEqual([]);
  });

  it.each([
    ['files', unshare(FILES), /a thread with a table of open files of its own/],
    ['directory', unshare(FS), /a thread with a working directory and umask of its own/],
    ['host name', unshare(UTS), /a thread with a namespace of its own/],
    ['namespace of children to come', unshare(PID), /asked for a namespace for its next children/],
  ])('is its %s', async (_, lines, text) => {
    const pid = await run(lines);
    expect(await reasonsOf(pid, pid)).toEqual([expect.stringMatching(text)]);
  });

  it('is a first thread that has ended', async () => {
    const untilEnded = 'while ") Z" not in open("/proc/self/stat").read(): time.sleep(.01)';
    const pid = await run([untilEnded], [], exitOfThread);
    expect(await reasonsOf(pid, pid)).toEqual([
      expect.stringMatching(/has ended its first thread/),
    ]);
  });

  it('are no semaphores: which ones it gives back at its end, only the dump can tell', async () => {
    const alone = await runAlone([haveSemaphore, READY], ownIpc);
    expect(await reasonsOf(alone, alone)).toEqual([]);
    const threads = await run([haveSemaphore], ownIpc);
    expect(await reasonsOf(threads, threads)).toEqual([]);
    const taken = await run([haveSemaphore, takeSemaphore], ownIpc);
    expect(await reasonsOf(taken, taken)).toEqual([]);
  });

  it('is a debugger', async () => {
    const pid = await run(['pass']);
    // PTRACE_SEIZE
    const tracer = await run([`ok(libc.ptrace(0x4206, ${pid}, None, None))`]);
    expect(await reasonsOf(pid, pid)).toEqual([
      expect.stringMatching(/^is traced by process \d+ \(a debugger, strace\)/),
    ]);
    expect(await reasonsOf(tracer, tracer)).toEqual([]);
  });

  it('is not the CRIU of a checkpoint', async () => {
    const pid = await run(['pass']);
    // PR_SET_NAME of the thread that traces.
    await run(['libc.prctl(15, b"criu", 0, 0, 0)', `ok(libc.ptrace(0x4206, ${pid}, None, None))`]);
    expect(await reasonsOf(pid, pid)).toEqual([]);
  });
});

const nested = ['--user', '--net', '--uts', '--ipc', '--cgroup'].filter(
  (option) => spawnSync('unshare', [option, 'true']).status === 0,
);

describe.runIf(root)('a process in the container with a namespace of its own', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sealift-unshared-'));
    await mkdir(join(dir, 'cgroup'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  it.each(nested)('is named: unshare %s', async (option) => {
    const first = await run(['pass']);
    const sandboxed = await run(['pass'], ['unshare', option]);
    const name = option.slice(2);
    expect(await reasonsOf(sandboxed, first)).toEqual([
      expect.stringMatching(new RegExp(`^is in a namespace of its own \\(${name}: `)),
    ]);
    expect(await reasonsOf(first, first)).toEqual([]);
  });

  it('may have its own mounts, which CRIU dumps', async () => {
    const first = await run(['pass']);
    const mounts = await run(['pass'], ['unshare', '--mount']);
    expect(await reasonsOf(mounts, first)).toEqual([]);
  });

  it('keeps its pod from moving', async () => {
    const pid = await run(unshare(FILES));
    await writeFile(join(dir, 'cgroup', 'cgroup.procs'), `${pid}\n`);
    const files = new UnmovableFiles(new Host({ root: dir }), { betweenMs: 10 });
    await expect(files.check([{ name: 'main', pid, cgroup: '/cgroup' }])).rejects.toMatchObject({
      code: 'UnsupportedObject',
      message: expect.stringMatching(
        /^Process \d+ \(python3\) in container main has a thread with a table of open files/,
      ) as string,
    });
  });
});
