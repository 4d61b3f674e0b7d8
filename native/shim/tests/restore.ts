// SPDX-License-Identifier: Apache-2.0
// Restores for which the create waits: made again when they fail, given up when the create is killed.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { isAlive, until, type Answer, type Bench, type Case } from './harness.ts';
import { CONTAINER } from './oci.ts';

const REFUSED = { ok: false, code: 'RestoreFailed', message: 'the kubelet starts it anew' };

const reply = (bench: Bench, env = {}) => ({
  ...{ ok: true, action: 'restore', options: [], env: { SEALIFT_GATE: 'uid', ...env } },
  ...{ imagePath: join(bench.dir, 'images'), workPath: join(bench.dir, 'work') },
});

async function start(bench: Bench, env: Record<string, string>, ...more: Answer[]) {
  bench.annotate(CONTAINER);
  await bench.listen(reply(bench, { SEALIFT_FAULT: 'once' }), ...more);
  const args = ['--root', bench.root, '--log', bench.log, 'create', '--bundle', bench.bundle, 'c1'];
  return bench.start('sealift-runc', args, env);
}

async function isMadeAgain(bench: Bench): Promise<void> {
  const { ended } = await start(bench, { RUNC_FAILS: 'once' }, reply(bench));
  const end = await ended;
  assert.equal(end.status, 0, end.stderr);
  assert.ok(end.ms > 900, `${end.ms} ms`);
  const [first, second] = bench.requests;
  assert.equal(bench.requests.length, 2);
  assert.deepEqual(second, { ...first, attempt: 2 });
  assert.ok(bench.runcArgs()?.includes('restore') && !bench.isWaiting);
  // What the first attempt alone was given is gone.
  assert.deepEqual(
    ['GATE', 'FAULT'].map((name) => bench.runcEnv(`SEALIFT_${name}`)),
    ['uid', undefined],
  );
}

async function failsAsTheAgentSays(bench: Bench): Promise<void> {
  const { ended } = await start(bench, { RUNC_EXIT: '1' }, reply(bench), REFUSED);
  const end = await ended;
  assert.equal(end.status, 1);
  assert.match(end.stderr, /RestoreFailed: the kubelet starts it anew/);
  assert.deepEqual(
    bench.requests.map(({ attempt }) => attempt),
    [1, 2, 3],
  );
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

async function isToldToEndInBetween(bench: Bench): Promise<void> {
  const { child, ended } = await start(bench, { RUNC_EXIT: '1' }, reply(bench));
  await until(() => bench.has('runc.args') && !bench.isWaiting);
  await new Promise((resolve) => setTimeout(resolve, 200));
  child.kill('SIGTERM');
  assert.equal((await ended).status, 1);
  assert.equal(bench.requests.length, 1);
}

const cases: Record<string, (bench: Bench) => Promise<void>> = {
  'is made again when it has failed': isMadeAgain,
  'fails as soon as the agent says so': failsAsTheAgentSays,
  'fails with a runc that is killed': failsWithAKilledRunc,
  'is given up with a create that is killed': (bench) => isGivenUp(bench, 'SIGKILL'),
  'is given up with a create that is asked to end': (bench) => isGivenUp(bench, 'SIGTERM'),
  'is not made again by a create that is asked to end': isToldToEndInBetween,
};

export const restoreCases: Case[] = Object.entries(cases).map(([name, run]): Case => [
  `restore: ${name}`,
  run,
]);
