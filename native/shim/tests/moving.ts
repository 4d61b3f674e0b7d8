// SPDX-License-Identifier: Apache-2.0
// A container that is being dumped or waits for the decision: exec and resume are refused, and at once. What kills one
// that waits kills all of it.
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bench, type Case, type Ended } from './harness.ts';

/** Command lines that are refused meanwhile. */
const refused: Record<string, string[]> = {
  'exec of a probe': ['exec', '--process', '/p', '--detach', '--pid-file', '/f', 'c1'],
  'exec as an administrator does': ['exec', '-t', '--env', 'A=b', 'c1', 'sh', '-c', 'true'],
  'exec with an option of a later runc': ['exec', '--frob', 'x', 'c1', 'true'],
  pause: ['pause', 'c1'],
  'resume, which would thaw it': ['resume', 'c1'],
  'checkpoint by another program': ['checkpoint', '--image-path', '/i', 'c1'],
};

const forwarded: Record<string, string[]> = {
  state: ['state', 'c1'],
  kill: ['kill', '--all', 'c1', '9'],
  delete: ['delete', '--force', 'c1'],
  'exec into another container': ['exec', 'c2', 'true'],
  'exec into none that runc knows': ['exec', 'c3', 'true'],
};

function marked(bench: Bench, marker: string, text: string): void {
  for (const [id, bundle] of [
    ['c1', bench.bundle],
    ['c2', '/nowhere'],
  ] as const) {
    mkdirSync(join(bench.root, id));
    const state = { config: { labels: ['bundle=/else', `bundle=${bundle}`] } };
    writeFileSync(join(bench.root, id, 'state.json'), JSON.stringify(state));
  }
  writeFileSync(join(bench.bundle, marker), text);
}

const call = (bench: Bench, args: string[]): Promise<Ended> =>
  bench.run('sealift-runc', ['--root', bench.root, '--log', bench.log, ...args], {
    RUNC_EXIT: '7',
  });

async function refuses(bench: Bench, args: string[]): Promise<void> {
  const [marker, said] = ['sealift-moving', MOVING];
  marked(bench, marker, 'MigrationRequest team/move-trainer\nmore\n');
  const ended = await call(bench, args);
  assert.equal(ended.status, 1);
  assert.match(ended.stderr, said);
  assert.match(bench.read('log.json') ?? '', said);
  assert.equal(bench.runcArgs(), undefined);
  assert.ok(ended.ms < 2000, `${ended.ms} ms`);
  rmSync(join(bench.bundle, marker));
  assert.equal((await call(bench, args)).status, 7);
}

/** Command lines; whether the container is a restored one; whether its cgroup is killed before runc is asked. */
const kills: Record<string, [args: string[], restored: boolean, killed: boolean]> = {
  'kills a frozen target at once': [['kill', 'c1', '9'], true, true],
  'kills a frozen target at once, by name': [['kill', '--all', 'c1', 'SIGKILL'], true, true],
  'kills a frozen target that is deleted': [['delete', '--force', 'c1'], true, true],
  'leaves another signal to a frozen target': [['kill', 'c1', '15'], true, false],
  'leaves a source that is dumped to runc': [['kill', 'c1', '9'], false, false],
};

async function killsAll(
  bench: Bench,
  args: string[],
  restored: boolean,
  killed: boolean,
): Promise<void> {
  marked(bench, 'sealift-moving', '');
  if (restored) writeFileSync(join(bench.bundle, 'sealift-restored'), '');
  const cgroup = join(bench.dir, 'cgroup');
  mkdirSync(cgroup);
  writeFileSync(join(cgroup, 'cgroup.kill'), '');
  const state = { config: { labels: [`bundle=${bench.bundle}`] }, cgroup_paths: { '': cgroup } };
  writeFileSync(join(bench.root, 'c1', 'state.json'), JSON.stringify(state));
  assert.equal((await call(bench, args)).status, 7);
  assert.equal(bench.read('cgroup/cgroup.kill'), killed ? '1' : '');
}

const MOVING = /Moving: .* by MigrationRequest team\/move-trainer: try again/;

export const movingCases: Case[] = [
  ...Object.entries(refused).map(([name, args]): Case => [
    `moving: refuses ${name}`,
    (bench) => refuses(bench, args),
  ]),
  ...Object.entries(kills).map(([name, [args, restored, killed]]): Case => [
    `moving: ${name}`,
    (bench) => killsAll(bench, args, restored, killed),
  ]),
  ...Object.entries(forwarded).map(([name, args]): Case => [
    `moving: forwards ${name}`,
    async (bench) => {
      marked(bench, 'sealift-moving', '');
      assert.equal((await call(bench, args)).status, 7);
    },
  ]),
  ...['', '\0\x1b[2J', 'x'.repeat(100_000)].map((text, index): Case => [
    `moving: prints no more of a marker than a name (${index})`,
    async (bench) => {
      marked(bench, 'sealift-moving', text);
      const { stderr } = await call(bench, ['exec', 'c1', 'true']);
      assert.match(stderr, /^sealift: Moving: [ -~]{1,300}\n$/);
      assert.equal(/ by /.test(stderr), text.startsWith('x'));
    },
  ]),
];
