// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

let top: string;

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'progress-test-'));
});

afterEach(() => {
  rmSync(top, { recursive: true, force: true });
});

interface Done {
  status: number | null;
  stdout: string;
  stderr: string;
}

const PROGRAM = ['bash', '-euo', 'pipefail', '-c'];

/** Shell lines with progress.sh sourced, as the lab's scripts do it. */
function script(lines: string): string {
  return `CHECKOUT=${top}; die() { echo "$*" >&2; exit 1; }; . ${import.meta.dirname}/progress.sh\n${lines}`;
}

/** Runs shell lines where standard error is no terminal, with a heartbeat each second. */
function plain(lines: string, env: NodeJS.ProcessEnv = {}): Done {
  const [program = '', ...args] = [...PROGRAM, script(lines)];
  return spawnSync(program, args, {
    encoding: 'utf8',
    env: { ...process.env, V: '', PROGRESS_HEARTBEAT: '1', ...env },
  });
}

/** Runs shell lines on a terminal of 60 columns; gives what it shows. */
function terminal(lines: string): string {
  const pty = `import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))`;
  const done = spawnSync(
    'python3',
    ['-c', pty, ...PROGRAM, script(`stty columns 60 <&2\n${lines}`)],
    {
      encoding: 'utf8',
      env: { ...process.env, V: '', TERM: 'xterm' },
    },
  );
  return done.stdout;
}

/** Lines without the time of day that each begins with. */
const texts = (output: string): string[] =>
  output
    .trim()
    .split('\n')
    .map((line) => line.replace(/^\d\d:\d\d:\d\d /, ''));

describe('a quick step', () => {
  it('says what it makes, what it waits for, how long that usually takes, and that it is done', () => {
    const done = plain('quick() { echo noise; }; progress_run builder quick; echo next');
    expect(done.status).toBe(0);
    expect(done.stdout).toBe('next\n');
    expect(texts(done.stderr)).toEqual([
      'builder (Debian tree with compilers, kernel headers and CRIU): usually 2 min, waits for the package mirror',
      expect.stringMatching(/^builder: done in \d:\d\d$/),
    ]);
    expect(readFileSync(join(top, 'build/log/builder.log'), 'utf8')).toBe('noise\n');
  });

  it('may be one that the table lacks', () => {
    expect(texts(plain('progress_run other true').stderr)[0]).toBe('other');
  });

  it('shows all of its output at once with V=1, and writes no log', () => {
    const done = plain('progress_run other echo noise', { V: '1' });
    expect(done.stdout).toBe('');
    expect(texts(done.stderr)).toEqual([
      'other',
      'noise',
      expect.stringMatching(/^other: done in \d:\d\d$/),
    ]);
    expect(existsSync(join(top, 'build'))).toBe(false);
  });
});

describe('a slow step', () => {
  const slow = 'slow() { echo "cc a.o"; sleep 5; }; progress_run runc slow';

  it('gives a sign of life now and then where there is no terminal', () => {
    const lines = texts(plain(slow).stderr);
    expect(lines.length).toBeGreaterThanOrEqual(3);
    expect(lines[1]).toMatch(/^runc: \d:\d\d, usually 55 s: cc a\.o$/);
    expect(lines.at(-1)).toMatch(/^runc: done in \d:\d\d$/);
  });

  it('rewrites one line on a terminal, within its width', () => {
    const shown = terminal(slow.replace('cc a.o', `cc ${'-O2 '.repeat(40)}a.c`));
    const rewritten = [...shown.matchAll(/\r\x1b\[K([^\r\n]*)/g)].map((match) => match[1] ?? '');
    const ticks = rewritten.filter((line) => /^runc: \d:\d\d/.test(line));
    expect(ticks.length).toBeGreaterThanOrEqual(1);
    expect(ticks[0]).toMatch(/^runc: \d:\d\d, usually 55 s: \.\.\..*-O2 a\.c$/);
    for (const tick of ticks) expect(tick.length).toBeLessThan(60);
    expect(rewritten.at(-1)).toMatch(/ runc: done in \d:\d\d$/);
  });

  it("does not repeat a line that is older than the step's silence", () => {
    const old = 'old() { echo long ago; sleep 0.1; touch -d "1 minute ago" "$1"; sleep 2.5; }';
    const done = plain(`${old}; progress_run x old ${top}/build/log/x.log`);
    expect(texts(done.stderr)[1]).toMatch(/^x: \d:\d\d$/);
  });

  it('ends when it ends, though it leaves a process behind', () => {
    const started = Date.now();
    const done = plain('leave() { sleep 15 & }; progress_run x leave; echo next');
    expect(done.stdout).toBe('next\n');
    expect(Date.now() - started).toBeLessThan(10_000);
  });
});

describe('a step that fails', () => {
  it('ends the caller with its status and shows the end of its log', () => {
    const lines = `PROGRESS_TAIL=2; fail() { echo one; echo two; (exit 7); echo never; }
      progress_run etcd fail; echo never`;
    const done = plain(lines);
    expect(done.status).toBe(7);
    expect(done.stdout).toBe('');
    expect(texts(done.stderr).slice(1)).toEqual([
      expect.stringMatching(/^etcd: failed after \d:\d\d with status 7$/),
      '  | one',
      '  | two',
      `All of its output is in ${top}/build/log/etcd.log.`,
    ]);
  });

  it('stands on lines of its own on a terminal', () => {
    const shown = terminal('fail() { echo why; sleep 1.5; exit 3; }; progress_run etcd fail');
    expect(shown).toMatch(
      /\r\x1b\[K\d\d:\d\d:\d\d etcd: failed after \d:\d\d with status 3\r\n {2}\| why\r\n/,
    );
  });
});

describe('a plan', () => {
  it('names the steps with their usual times and the sum', () => {
    expect(texts(plain('progress_plan etcd kubernetes').stderr)).toEqual([
      'To be made once, with the usual times:',
      '  etcd               45 s  etcd (waits for Go modules, then the compiler)',
      '  kubernetes        9 min  control plane, kubelet, kubectl, Multus and helm (waits for Go modules, then the compiler)',
      `Together about 10 min. The output goes to ${top}/build/log; V=1 shows it here.`,
    ]);
  });

  it('is silent when there is nothing to make, and refuses what it has no time for', () => {
    expect(plain('progress_plan').stderr).toBe('');
    expect(plain('progress_plan etcd other').status).toBe(1);
  });
});
