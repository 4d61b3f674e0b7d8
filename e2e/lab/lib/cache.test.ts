// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';

let cache: string;

beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'cache-test-'));
});

afterEach(() => {
  rmSync(cache, { recursive: true, force: true });
});

/** Runs shell lines with cache.sh and progress.sh sourced, as the lab does. */
function shell(lines: string): { status: number | null; stdout: string } {
  const script = `set -euo pipefail; CHECKOUT=${cache} LAB_CACHE=${cache}; . "$0/progress.sh"; . "$0/cache.sh"; die() { echo "$*" >&2; exit 1; }\n${lines}`;
  const done = spawnSync('bash', ['-c', script, import.meta.dirname], { encoding: 'utf8' });
  return { status: done.status, stdout: done.stdout.trim() };
}

it('gives a key that follows names and contents of files, not their times', () => {
  const file = join(cache, 'input');
  const key = (): string => shell(`cache_key text "@${file}"`).stdout;
  writeFileSync(file, 'one');
  const first = key();
  expect(first).toMatch(/^[0-9a-f]{16}$/);
  utimesSync(file, 1, 1);
  expect(key()).toBe(first);
  writeFileSync(file, 'two');
  expect(key()).not.toBe(first);
  expect(shell(`cache_key "@${file}.absent"`).status).not.toBe(0);
});

it('makes an entry once', () => {
  const lines = `make() { echo made >>"$1/log"; echo made >>${cache}/count; }
    cache_build thing 0123456789abcdef make
    cache_build thing 0123456789abcdef make`;
  expect(shell(lines).status).toBe(0);
  expect(readFileSync(join(cache, 'count'), 'utf8')).toBe('made\n');
});

it('keeps nothing of an entry whose making failed half way', () => {
  const lines = `make() { touch "$1/half"; false; touch "$1/whole"; }
    cache_build thing 0123456789abcdef make`;
  expect(shell(lines).status).toBe(1);
  expect(existsSync(join(cache, 'thing-0123456789abcdef'))).toBe(false);
});

it('drops all but the two newest entries of a name, and no other name', () => {
  const lines = `make() { :; }
    for i in 1 2 3; do cache_build thing 000000000000000$i make; touch -d "2020-01-0$i" ${cache}/thing-000000000000000$i; done
    cache_build other 0000000000000001 make
    cache_build thing 0000000000000004 make`;
  expect(shell(lines).status).toBe(0);
  expect(
    readdirSync(cache)
      .filter((name) => name !== 'build')
      .sort(),
  ).toEqual(['other-0000000000000001', 'thing-0000000000000003', 'thing-0000000000000004']);
});

it('names what was never made', () => {
  const lines = `make() { :; }
    cache_build image-node 0000000000000001 make
    cache_missing image-node node image`;
  expect(shell(lines).stdout.split('\n')).toEqual(['node', 'image']);
});
