// SPDX-License-Identifier: Apache-2.0
// Tasks of a made-up /proc, and real ones that an exec would have put beside a container's.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Host } from '../host/host.ts';
import { ownTasks } from './own-tasks.ts';
import { UnmovableFiles } from './unmovable.ts';

let dir: string;
let children: ChildProcess[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-tasks-'));
  children = [];
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await rm(dir, { recursive: true });
});

describe('tasks of a container that a dump has', () => {
  it.each<[string, Record<number, number>, number[], number | undefined, number[]]>([
    ['descend from the first', { 7: 1, 8: 7, 9: 8 }, [7, 8, 9], 7, [7, 8, 9]],
    ['may come before it', { 9: 5, 5: 7, 7: 1 }, [5, 7, 9], 7, [5, 7, 9]],
    ['are none that was put beside it', { 7: 1, 8: 3, 9: 7 }, [7, 8, 9], 7, [7, 9]],
    ['nor what that has started', { 7: 1, 8: 3, 9: 8, 10: 9 }, [7, 8, 9, 10], 7, [7]],
    ['nor an orphan of the node', { 7: 1, 8: 1 }, [7, 8], 7, [7]],
    ['may have ended, and so may their parents', { 7: 1, 9: 8 }, [7, 8, 9], 7, [7, 8, 9]],
    ['are all, without a first', { 7: 1, 8: 3 }, [7, 8], undefined, [7, 8]],
    ['are all, if the first is not there', { 7: 1, 8: 3 }, [7, 8], 5, [7, 8]],
    ['are read of several moments', { 7: 1, 8: 9, 9: 8 }, [7, 8, 9], 7, [7, 8, 9]],
    ['are none', {}, [], 7, []],
  ])('%s', async (_what, parents, tasks, first, own) => {
    for (const [pid, parent] of Object.entries(parents)) {
      await mkdir(join(dir, pid));
      const text = `${pid} (a) S 9) S ${parent} ${'0 '.repeat(17)}5 0\n`;
      await writeFile(join(dir, pid, 'stat'), text);
    }
    expect(await ownTasks(tasks, first, dir)).toEqual(own);
  });
});

/** For Python: has a file of a mount that is nowhere any more, as `runc init` has its program; so has its child. */
const program = [
  'import os, sys, time; os.chdir(sys.argv[1]); os.mkdir("m")',
  'assert os.system("mount -t tmpfs tmpfs m") == 0; f = open("m/f", "w"); d = os.open("m", 0)',
  'assert os.system("umount -l m") == 0; os.close(d)',
  'if os.fork(): os.mkdir("ready")',
  'time.sleep(1000)',
].join('\n');

describe.runIf(process.getuid?.() === 0)('what an exec probe starts', () => {
  it('is no reason against a move, whatever it has; what the container starts is', async () => {
    const unshared = ['--mount', '--propagation', 'private', '--kill-child'];
    const joined = spawn('unshare', [...unshared, '--fork', 'python3', '-c', program, dir]);
    const first = spawn('sleep', ['1000']);
    children.push(joined, first);
    await vi.waitFor(() => stat(join(dir, 'ready')), { timeout: 15_000 });
    const [python = 0] = await childrenOf(joined.pid ?? 0);
    const [forked = 0] = await childrenOf(python);
    expect(forked).toBeGreaterThan(0);
    await mkdir(join(dir, 'cgroup'));
    const inCgroup = (...pids: (number | undefined)[]) =>
      writeFile(join(dir, 'cgroup', 'cgroup.procs'), pids.map((pid) => `${pid}\n`).join(''));
    const parts = { sockets: async () => [], unshared: async () => [], betweenMs: 10 };
    const files = new UnmovableFiles(new Host({ root: dir }), parts);
    const check = (pid: number | undefined) =>
      files.check([{ name: 'main', cgroup: '/cgroup', pid: pid ?? 0 }]);

    await inCgroup(first.pid, python, forked);
    await expect(check(first.pid)).resolves.toBeUndefined();
    const refused = {
      code: 'UnsupportedObject',
      message: expect.stringMatching(/of a mount that its container does not have/) as string,
    };
    await inCgroup(joined.pid, python, forked);
    await expect(check(joined.pid)).rejects.toMatchObject(refused);
  });
});

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.split(' ').filter(Boolean).map(Number);
}
