// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';

let run: string;

beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), 'proc-test-'));
});

afterEach(() => {
  shell('proc_stop x 1');
  rmSync(run, { recursive: true, force: true });
});

/** Runs a line of shell with proc.sh sourced; gives its output. */
function shell(line: string): string {
  return execFileSync('bash', ['-euc', `. "$0"; ${line}`, join(import.meta.dirname, 'proc.sh')], {
    encoding: 'utf8',
    env: { ...process.env, LAB_RUN: run },
  }).trim();
}

/** Whether it runs. A zombie does not: here it may have no parent that reaps it. */
function exists(pid: string): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

it('starts once, finds and stops what it started', () => {
  shell('proc_start x sleep 300');
  const pid = shell('proc_pid x');
  shell('proc_start x sleep 300');
  expect(shell('proc_pid x')).toBe(pid);
  expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toContain('sleep');
  shell('proc_stop x');
  expect(exists(pid)).toBe(false);
  expect(shell('proc_alive x || echo down')).toBe('down');
});

it('kills what ignores SIGTERM', () => {
  shell(`proc_start x bash -c 'trap "" TERM; while :; do sleep 1; done'`);
  const pid = shell('proc_pid x');
  shell('sleep 0.3; proc_stop x 1');
  expect(exists(pid)).toBe(false);
});

it("leaves alone a process that has inherited the number of one of the lab's", () => {
  shell('proc_start x sleep 300');
  const pid = shell('proc_pid x');
  const recorded = readFileSync(join(run, 'x.pid'), 'utf8');
  const [, start, boot] = recorded.trim().split(' ');
  writeFileSync(join(run, 'x.pid'), `${pid} ${String(Number(start) - 1)} ${boot ?? ''}\n`);
  expect(shell('proc_alive x || echo down')).toBe('down');
  shell('proc_stop x 1');
  expect(exists(pid)).toBe(true);
  writeFileSync(join(run, 'x.pid'), recorded);
});

it('ignores a pid file of an earlier boot', () => {
  shell('proc_start x sleep 300');
  const pid = shell('proc_pid x');
  const recorded = readFileSync(join(run, 'x.pid'), 'utf8');
  writeFileSync(join(run, 'x.pid'), recorded.replace(/ [^ ]*$/, ' 0000\n'));
  shell('proc_stop x 1');
  expect(exists(pid)).toBe(true);
  writeFileSync(join(run, 'x.pid'), recorded);
});

it('takes a process that ended by itself as down', () => {
  shell('proc_start x true; sleep 0.3');
  expect(shell('proc_alive x || echo down')).toBe('down');
});
