// SPDX-License-Identifier: Apache-2.0
// Restores that outlive their create: when it returns, with what, and what becomes of a restore whose create fails.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, until, type Answer, type Bench, type Case, type Ended } from './harness.ts';
import { CONTAINER } from './oci.ts';

const GATE = { ok: true, pid: 4711 };
const REFUSED = { ok: false, code: 'Aborted', message: 'the move was aborted' };

const reply = (bench: Bench) => ({
  ...{ ok: true, action: 'restore', background: true },
  ...{ imagePath: join(bench.dir, 'images'), workPath: join(bench.dir, 'work'), options: [] },
  env: { SEALIFT_GATE: 'uid', SEALIFT_CONTAINER: 'side' },
});

function start(bench: Bench, more: Record<string, string> = {}, args: string[] = []) {
  return bench.start(
    'sealift-runc',
    [
      ...['--root', bench.root, '--log', bench.log, '--log-format', 'json'],
      ...['create', '--bundle', bench.bundle, '--pid-file', `${bench.dir}/pid`, ...args, 'c1'],
    ],
    { RUNC_WAITS: 'yes', ...more },
    '',
    !args.includes('--console-socket'),
  );
}

async function begin(bench: Bench, ...answers: Answer[]): Promise<void> {
  bench.annotate(CONTAINER);
  mkdirSync(join(bench.root, 'c1'));
  writeFileSync(
    join(bench.root, 'c1/state.json'),
    JSON.stringify({ init_process_pid: 815, config: { labels: [`bundle=${bench.bundle}`] } }),
  );
  await bench.listen(reply(bench), ...answers);
}

const exec = (bench: Bench): Promise<Ended> =>
  bench.run('sealift-runc', [
    ...['--root', bench.root, '--log', bench.log, '--log-format', 'json'],
    ...['exec', '--process', '/p', '--detach', '--pid-file', '/f', 'c1'],
  ]);
const open = (bench: Bench): void => writeFileSync(join(bench.dir, 'go'), '');

async function returnsAtTheGate(bench: Bench): Promise<void> {
  await begin(bench, GATE);
  const ended = await start(bench).ended;
  assert.equal(ended.status, 0, ended.stderr);
  assert.deepEqual(bench.requests[1], { op: 'atGate', token: 'uid', container: 'side' });
  assert.equal(bench.read('pid'), '4711');
  await until(() => isAlive(bench.runcPid));
  assert.ok(bench.isWaiting && bench.has('bundle/sealift-restored'));
  const startArgs = ['--root', bench.root, 'start', 'c1'];
  assert.equal((await bench.run('sealift-runc', startArgs, { RUNC_EXIT: '9' })).status, 0);
  const refused = await exec(bench);
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /AtResumeGate: .*try again/);
  assert.equal(bench.runcArgs(), undefined);
  open(bench);
  await until(() => !bench.isWaiting && !isAlive(bench.runcPid));
  const args = bench.runcArgs() ?? [];
  assert.ok(args.includes('restore') && !args.includes('--pid-file'));
  assert.equal(bench.runcEnv('SEALIFT_WHILE'), join(bench.bundle, 'sealift-waiting'));
  assert.equal(bench.runcEnv('SEALIFT_RUNC_PID'), String(bench.runcPid));
  assert.equal(bench.has('gave-up'), false);
  assert.equal((await exec(bench)).status, 0);
}

/** The marker names the keeper before the create returns: with the create's name alone in it, it would count for nothing. */
async function isMarkedBeforeItReturns(bench: Bench): Promise<void> {
  await begin(bench, GATE);
  mkdirSync(join(bench.dir, 'faults'));
  writeFileSync(join(bench.dir, 'faults', 'shim.keep.before'), 'delay:1500');
  const { ended } = start(bench, { SEALIFT_FAULT_DIR: join(bench.dir, 'faults') });
  assert.equal((await ended).status, 0);
  const refused = await exec(bench);
  assert.match(refused.stderr, /AtResumeGate/);
  open(bench);
  await until(() => !bench.isWaiting);
}

/** A session of its own: who ends the create's process group does not end the restore. */
async function isOfItsOwnSession(bench: Bench): Promise<void> {
  await begin(bench, GATE);
  const { ended } = start(bench);
  await ended;
  await until(() => isAlive(bench.runcPid));
  const fields =
    readFileSync(`/proc/${bench.runcPid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  const own = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ') ?? [];
  assert.notEqual(fields[3], own[3]);
  open(bench);
}

async function asksAgain(bench: Bench): Promise<void> {
  await begin(bench, 'silence');
  const { ended } = start(bench);
  await until(() => bench.requests.length === 2);
  await bench.crash();
  await new Promise((resolve) => setTimeout(resolve, 700));
  await bench.listen(GATE);
  assert.equal((await ended).status, 0);
  assert.equal(bench.read('pid'), '4711');
  open(bench);
}

async function opensBeforeTheAnswer(bench: Bench): Promise<void> {
  await begin(bench, 'silence');
  const { ended } = start(bench);
  await until(() => bench.requests.length === 2);
  open(bench);
  const end = await ended;
  assert.equal(end.status, 0, end.stderr);
  assert.equal(bench.read('pid'), '815');
  assert.equal(bench.isWaiting, false);
}

/** What has become of a restore that failed is the agent's to say. */
async function asksWhenRuncFails(bench: Bench): Promise<void> {
  await begin(bench, 'silence', REFUSED);
  const { ended } = start(bench, { RUNC_WAITS: '', RUNC_EXIT: '1' });
  const end = await ended;
  assert.equal(end.status, 1);
  assert.match(end.stderr, /Aborted: the move was aborted/);
  assert.deepEqual(
    bench.requests.map(({ op, attempt }) => [op, attempt]),
    [
      ['create', 1],
      ['atGate', undefined],
      ['create', 2],
    ],
  );
  assert.equal(bench.isWaiting, false);
  assert.equal(bench.read('pid'), undefined);
}

async function failsWithAKilledRunc(bench: Bench): Promise<void> {
  await begin(bench, 'silence');
  const { ended } = start(bench);
  await until(() => bench.requests.length === 2 && bench.has('runc.pid'));
  process.kill(bench.runcPid, 'SIGKILL');
  const end = await ended;
  assert.equal(end.status, 1);
  assert.match(end.stderr, /RestoreFailed: runc was killed/);
}

/** The agent refuses: so it does at the gate, where the restore ends by itself. */
async function waitsForARefusedRestore(bench: Bench): Promise<void> {
  await begin(bench, REFUSED);
  const { ended } = start(bench);
  await until(() => bench.requests.length === 2 && bench.has('runc.pid'));
  await new Promise((resolve) => setTimeout(resolve, 300));
  process.kill(bench.runcPid, 'SIGTERM');
  const end = await ended;
  assert.equal(end.status, 1);
  assert.match(end.stderr, /Aborted: the move was aborted/);
  assert.equal(bench.isWaiting, false);
}

async function isGivenUp(bench: Bench, signal: NodeJS.Signals): Promise<void> {
  await begin(bench, 'silence');
  const { child, ended } = start(bench);
  await until(() => bench.requests.length === 2 && bench.has('runc.pid'));
  child.kill(signal);
  await ended;
  await until(() => bench.has('gave-up') && !isAlive(bench.runcPid));
  assert.deepEqual([bench.isWaiting, bench.read('pid')], [false, undefined]);
}

async function keepsNoOutput(bench: Bench): Promise<void> {
  await begin(bench, GATE);
  // A caller that has the container's terminal reads these to their end.
  const { ended } = start(bench, {}, ['--console-socket', '/c']);
  assert.equal((await ended).status, 0);
  await until(() => isAlive(bench.runcPid));
  open(bench);
}

const keeperOf = (bench: Bench): number =>
  Number(readFileSync(`/proc/${bench.runcPid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1]);

/** The marker is removed by the keeper alone, but counts only while the keeper or runc is there. */
async function outlivesItsKeeper(bench: Bench): Promise<void> {
  await begin(bench, GATE);
  assert.equal((await start(bench).ended).status, 0);
  await until(() => isAlive(bench.runcPid));
  process.kill(keeperOf(bench), 'SIGKILL');
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.match((await exec(bench)).stderr, /AtResumeGate/);
  assert.equal(bench.has('gave-up'), false);
  open(bench);
  await until(() => bench.runcArgs() !== undefined && !isAlive(bench.runcPid));
  assert.equal(bench.isWaiting, true);
  const joined = await exec(bench);
  assert.equal(joined.status, 0, joined.stderr);
}

async function isGivenUpWithItsKeeper(bench: Bench): Promise<void> {
  await begin(bench, 'silence');
  const { ended } = start(bench);
  await until(() => bench.requests.length === 2 && bench.has('runc.pid'));
  process.kill(keeperOf(bench), 'SIGKILL');
  assert.equal((await ended).status, 1);
  await until(() => bench.has('gave-up') && !isAlive(bench.runcPid));
  assert.equal(bench.isWaiting, false);
}

async function unusablePidFile(bench: Bench): Promise<void> {
  await begin(bench, GATE);
  mkdirSync(join(bench.dir, 'pid'));
  const { ended } = start(bench);
  assert.match((await ended).stderr, /PidFileFailed/);
  await until(() => bench.has('gave-up'));
}

const cases: Record<string, (bench: Bench) => Promise<void>> = {
  'returns at the gate and leaves the restore': returnsAtTheGate,
  'is marked before its create returns': isMarkedBeforeItReturns,
  'has a session of its own': isOfItsOwnSession,
  'asks again after the agent’s restart': asksAgain,
  'knows the process of a gate that was open before the answer': opensBeforeTheAnswer,
  'asks the agent when runc fails': asksWhenRuncFails,
  'fails with a runc that is killed': failsWithAKilledRunc,
  'waits for a refused restore to end': waitsForARefusedRestore,
  'is given up with a create that is killed': (bench) => isGivenUp(bench, 'SIGKILL'),
  'is given up with a create that is asked to end': (bench) => isGivenUp(bench, 'SIGTERM'),
  'outlives its keeper, and its marker counts no longer than it does': outlivesItsKeeper,
  'is given up when its keeper is killed': isGivenUpWithItsKeeper,
  'keeps no output of a container with a terminal': keepsNoOutput,
  'is given up without a pid file': unusablePidFile,
  'refuses a reply that names no process': async (bench) => {
    await begin(bench, { ok: true });
    const { ended } = start(bench);
    assert.match((await ended).stderr, /BadReply: .*no process/);
    await until(() => bench.has('gave-up'));
  },
  'refuses a reply that names no gate': async (bench) => {
    bench.annotate(CONTAINER);
    await bench.listen({ ...reply(bench), env: { SEALIFT_GATE: 'uid' } });
    assert.match((await start(bench).ended).stderr, /BadReply: .*no gate/);
    assert.equal(bench.runcArgs(), undefined);
  },
  'is a fault point': async (bench) => {
    await begin(bench, GATE);
    mkdirSync(join(bench.dir, 'faults'));
    writeFileSync(join(bench.dir, 'faults', 'shim.atGate.after'), 'crash');
    const { ended } = start(bench, { SEALIFT_FAULT_DIR: join(bench.dir, 'faults') });
    assert.equal((await ended).signal, 'SIGKILL');
    await until(() => bench.has('gave-up'));
  },
};

export const backgroundCases: Case[] = Object.entries(cases).map(([name, run]): Case => [
  `background: ${name}`,
  run,
]);
