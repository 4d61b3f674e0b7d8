// SPDX-License-Identifier: Apache-2.0
// Containers with processors of their own, and real threads confined within them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { narrowedCpus, parseCpus, reasonOfAffinity } from './cpu-sets.ts';

let pod: string;
let container: string;
beforeEach(async () => {
  pod = await mkdtemp(join(tmpdir(), 'sealift-cpus-'));
  container = join(pod, 'container');
  await mkdir(container);
});
afterEach(() => rm(pod, { recursive: true }));

const have = (own: string, ofPod: string) =>
  Promise.all([
    writeFile(join(container, 'cpuset.cpus.effective'), own),
    writeFile(join(pod, 'cpuset.cpus.effective'), ofPod),
  ]);

describe('the processors of a container', () => {
  it.each([
    ['0', [0]],
    ['0-2,8\n', [0, 1, 2, 8]],
    ['4-5,7-7', [4, 5, 7]],
    ['', []],
  ])('are read from %o', (list, cpus) => {
    expect([...parseCpus(list)]).toEqual(cpus);
  });

  it('are its own if they are fewer than its pod has', async () => {
    expect(await narrowedCpus(container)).toBeUndefined();
    await have('4-7\n', '0-15\n');
    expect(await narrowedCpus(container)).toBe('4-7');
    await have('0-15\n', '0-15\n');
    expect(await narrowedCpus(container)).toBeUndefined();
    await rm(join(pod, 'cpuset.cpus.effective'));
    expect(await narrowedCpus(container)).toBeUndefined();
  });

  it.each(['burstable/pod1', 'kubepods-besteffort-pod1.slice'])(
    'are those of the shared pool in a pod of another class than Guaranteed: %s',
    async (name) => {
      const own = join(pod, name, 'c');
      await mkdir(own, { recursive: true });
      await writeFile(join(own, 'cpuset.cpus.effective'), '4-7\n');
      await writeFile(join(pod, name, 'cpuset.cpus.effective'), '0-15\n');
      expect(await narrowedCpus(own)).toBeUndefined();
    },
  );
});

describe('a thread', () => {
  /** A process of which only the second thread is confined, or none; and the first of two processors of this machine. */
  const lines = [
    'import os, sys, threading',
    'all = sorted(os.sched_getaffinity(0))',
    'def confine():',
    '  if sys.argv[1] == "one": os.sched_setaffinity(0, all[:1])',
    '  ready.set(); sys.stdin.readline()',
    'ready = threading.Event(); threading.Thread(target=confine, daemon=True).start(); ready.wait()',
    'print(*all, flush=True); sys.stdin.readline()',
  ];

  async function reason(confined: 'one' | 'none', narrowedOf: (all: string[]) => string) {
    const child = spawn('python3', ['-c', lines.join('\n'), confined]);
    try {
      const all = String((await once(child.stdout, 'data'))[0])
        .trim()
        .split(' ');
      const found = await reasonOfAffinity(child.pid ?? 0, narrowedOf(all), '/proc');
      return { all, found };
    } finally {
      child.kill('SIGKILL');
    }
  }

  it('that is confined within them cannot be moved, and is named', async ({ skip }) => {
    const { all, found } = await reason('one', (cpus) => cpus.join());
    skip(all.length < 2, 'this machine has one processor');
    expect(found).toContain(`confined a thread to the processors ${all[0]}, of ${all.join()}`);
    expect(found).toContain('mpirun --bind-to none');
  });

  it('that may run on all of them can, also where it may run on more', async () => {
    expect((await reason('none', (cpus) => cpus.join())).found).toBeUndefined();
    expect((await reason('none', ([first = '']) => first)).found).toBeUndefined();
    expect((await reason('one', ([first = '']) => first)).found).toBeUndefined();
  });

  it('of a process that has ended is no obstacle', async () => {
    expect(await reasonOfAffinity(2 ** 30, '0-3', '/proc')).toBeUndefined();
  });
});
