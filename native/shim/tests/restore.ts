// SPDX-License-Identifier: Apache-2.0
// Restores, for which the create waits: given up when the create is killed.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, until, type Bench, type Case } from './harness.ts';
import { CONTAINER } from './oci.ts';

const reply = (bench: Bench) => ({
  ...{ ok: true, action: 'restore', options: [], env: { SEALIFT_GATE: 'uid' } },
  ...{ imagePath: join(bench.dir, 'images'), workPath: join(bench.dir, 'work') },
});

async function start(bench: Bench, env: Record<string, string>) {
  bench.annotate(CONTAINER);
  await bench.listen(reply(bench));
  const args = ['--root', bench.root, '--log', bench.log, 'create', '--bundle', bench.bundle, 'c1'];
  return bench.start('sealift-runc', args, env);
}

async function isMarkedWhileItRuns(bench: Bench): Promise<void> {
  const { ended } = await start(bench, { RUNC_WAITS: 'yes' });
  await until(() => bench.has('runc.pid'));
  assert.ok(bench.isWaiting && bench.has('bundle/sealift-restored'));
  writeFileSync(join(bench.dir, 'go'), '');
  assert.equal((await ended).status, 0);
  assert.equal(bench.isWaiting, false);
  assert.equal(bench.runcEnv('SEALIFT_WHILE'), join(bench.bundle, 'sealift-waiting'));
  assert.equal(bench.runcEnv('SEALIFT_RUNC_PID'), String(bench.runcPid));
}

async function failsOnce(bench: Bench): Promise<void> {
  const { ended } = await start(bench, { RUNC_EXIT: '1' });
  assert.equal((await ended).status, 1);
  assert.deepEqual([bench.requests.length, bench.isWaiting], [1, false]);
}

/** A session of its own: who ends the create's process group does not end the restore. */
async function isOfItsOwnSession(bench: Bench): Promise<void> {
  const { ended } = await start(bench, { RUNC_WAITS: 'yes' });
  await until(() => isAlive(bench.runcPid));
  const session = (pid: number | 'self') =>
    readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[3];
  assert.notEqual(session(bench.runcPid), session('self'));
  writeFileSync(join(bench.dir, 'go'), '');
  await ended;
}

const keeperOf = (bench: Bench): number =>
  Number(readFileSync(`/proc/${bench.runcPid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1]);

async function isGivenUpWithItsKeeper(bench: Bench): Promise<void> {
  const { ended } = await start(bench, { RUNC_WAITS: 'yes' });
  await until(() => bench.has('runc.pid'));
  process.kill(keeperOf(bench), 'SIGKILL');
  assert.equal((await ended).status, 1);
  await until(() => bench.has('gave-up') && !isAlive(bench.runcPid));
  assert.equal(bench.isWaiting, false);
}

/** It is unknown what such a runc has left behind. */
async function failsWithAKilledRunc(bench: Bench): Promise<void> {
  const { ended } = await start(bench, { RUNC_WAITS: 'yes' });
  await until(() => bench.has('runc.pid'));
  process.kill(bench.runcPid, 'SIGKILL');
  const end = await ended;
  assert.equal(end.status, 1);
  assert.match(end.stderr, /RestoreFailed: runc was killed/);
  assert.equal(bench.requests.length, 1);
}

async function isGivenUp(bench: Bench, signal: NodeJS.Signals): Promise<void> {
  const { child, ended } = await start(bench, { RUNC_WAITS: 'yes' });
  await until(() => bench.has('runc.pid'));
  child.kill(signal);
  const end = await ended;
  if (signal === 'SIGTERM') assert.match(end.stderr, /Cancelled: asked to end/);
  await until(() => bench.has('gave-up') && !isAlive(bench.runcPid));
  assert.deepEqual([bench.isWaiting, bench.requests.length], [false, 1]);
}

const cases: Record<string, (bench: Bench) => Promise<void>> = {
  'is marked while it runs': isMarkedWhileItRuns,
  'fails with runc, and is not made again': failsOnce,
  'has a session of its own': isOfItsOwnSession,
  'is given up when its keeper is killed': isGivenUpWithItsKeeper,
  'fails with a runc that is killed': failsWithAKilledRunc,
  'is given up with a create that is killed': (bench) => isGivenUp(bench, 'SIGKILL'),
  'is given up with a create that is asked to end': (bench) => isGivenUp(bench, 'SIGTERM'),
};

export const restoreCases: Case[] = Object.entries(cases).map(([name, run]): Case => [
  `restore: ${name}`,
  run,
]);
