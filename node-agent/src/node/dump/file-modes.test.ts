// SPDX-License-Identifier: Apache-2.0
// Pipes and eventfds of this process's child, as the kernel shows them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { hasMode, reasonOfMode } from './file-modes.ts';

let child: ReturnType<typeof spawn> | undefined;
afterEach(() => child?.kill('SIGKILL'));

async function reasonsOf(line: string): Promise<(string | undefined)[]> {
  const program = `import ctypes, os, time; libc = ctypes.CDLL(None); os.closerange(3, 4096); ${line}; print("ready", flush=True); time.sleep(1000)`;
  child = spawn('python3', ['-c', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout ?? child, 'data');
  const proc = join('/proc', String(child.pid));
  const reasons: (string | undefined)[] = [];
  for (const fd of await readdir(join(proc, 'fd'))) {
    const link = await readlink(join(proc, 'fd', fd));
    if (Number(fd) < 3 || !hasMode(link)) continue;
    reasons.push(reasonOfMode(link, await readFile(join(proc, 'fdinfo', fd), 'utf8')));
  }
  return reasons;
}

describe('the mode of a file', () => {
  it.each([
    ['a pipe', 'os.pipe()', [undefined, undefined]],
    ['an eventfd', 'libc.eventfd(3, 0)', [undefined]],
    ['a file without one', 'os.open("/dev/null", os.O_RDONLY)', []],
  ])('is none of %s', async (_, line, reasons) => {
    expect(await reasonsOf(line)).toEqual(reasons);
  });

  it('is that of an eventfd that is a semaphore', async () => {
    expect(await reasonsOf('libc.eventfd(3, 1)')).toEqual([
      expect.stringMatching(/EFD_SEMAPHORE.*sem_init/),
    ]);
  });

  it('is that of a pipe of packets, whichever end', async () => {
    const reasons = await reasonsOf('os.pipe2(os.O_DIRECT)');
    expect(reasons).toContainEqual(expect.stringMatching(/a pipe of packets.*SOCK_SEQPACKET/));
  });
});
