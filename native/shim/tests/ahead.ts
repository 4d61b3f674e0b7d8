// SPDX-License-Identifier: Apache-2.0
// A runc that is started before its images are there: it waits for them, and is of no effect if they do not come.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, until, type Bench, type Case, type Ended } from './harness.ts';
import { CONTAINER, create } from './oci.ts';

const FILES = '["/dev/null","pipe:[7]","pipe:[7]"]';
const told = (bench: Bench) => ({
  ...{ options: ['--tcp-established'], env: { SEALIFT_GATE: 'uid' } },
  ...{ imagePath: join(bench.dir, 'images'), workPath: join(bench.dir, 'work') },
});
const notice = (bench: Bench) => ({ ok: true, notice: 'ahead', ...told(bench) });
const reply = (bench: Bench) => ({ ok: true, action: 'restore', ...told(bench) });
const starts = (bench: Bench): number[] =>
  (bench.read('runc.pids') ?? '').split('\n').filter(Boolean).map(Number);
const report = (bench: Bench) => bench.read('work/sealift-restore.json');

/** As the agent does it: before the notice, and once the images are there. */
function makeFifo(bench: Bench): void {
  mkdirSync(join(bench.dir, 'work'));
  mkdirSync(join(bench.dir, 'images'));
  execFileSync('mkfifo', [join(bench.dir, 'images/descriptors.json')]);
}
const link = (bench: Bench) =>
  writeFileSync(join(bench.dir, 'images/descriptors.json.ready'), FILES);

async function start(bench: Bench, env: Record<string, string> = {}) {
  bench.annotate(CONTAINER);
  makeFifo(bench);
  await bench.listen({ notice: notice(bench) });
  const images = join(bench.dir, 'images');
  const running = bench.start('sealift-runc', create(bench), { RUNC_READS: images, ...env });
  await until(() => starts(bench).length === 1);
  return running;
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 150));

function isRestored(bench: Bench, { status, stderr }: Ended): void {
  assert.equal(status, 0, stderr);
  assert.equal(bench.read('read'), FILES);
  assert.equal(bench.has('bundle/sealift-restored'), true);
  assert.equal(bench.isWaiting, false);
  assert.deepEqual(JSON.parse(report(bench) ?? ''), { state: 'detached' });
}

function isUndone(bench: Bench): void {
  assert.equal(bench.has('bundle/sealift-restored'), false);
  assert.equal(bench.isWaiting, false);
  assert.equal(report(bench), undefined);
  assert.equal(bench.runcArgs(), undefined);
}

async function goesOn(bench: Bench, late: string): Promise<void> {
  const { ended } = await start(bench, { RUNC_LATE: late });
  if (late === '0') await settle();
  assert.equal(bench.has('read') && bench.read('read') !== '', false);
  assert.equal(bench.has('bundle/sealift-restored'), false);
  link(bench);
  bench.reply(reply(bench));
  isRestored(bench, await ended);
  assert.equal(starts(bench).length, 1);
  assert.deepEqual(bench.runcArgs()?.slice(7, 13), ['restore', '--detach', '--manage-cgroups-mode', 'ignore', '--image-path', join(bench.dir, 'images')]); // prettier-ignore
  assert.equal(bench.runcEnv('SEALIFT_GATE'), 'uid');
  assert.equal(bench.runcEnv('SEALIFT_WHILE'), join(bench.bundle, 'sealift-waiting'));
  assert.equal(bench.runcEnv('SEALIFT_RUNC_PID'), String(bench.runcPid));
}

async function reports(bench: Bench): Promise<void> {
  const { ended } = await start(bench, { RUNC_EXIT: '1' });
  link(bench);
  bench.reply(reply(bench));
  assert.equal((await ended).status, 1);
  assert.match(report(bench) ?? '', /"state":"failed".*runc ended with status 1/);
}

async function isRefused(bench: Bench, answer: object, said: RegExp): Promise<void> {
  const { ended } = await start(bench);
  await settle();
  bench.reply(answer);
  const end = await ended;
  assert.equal(end.status, 1);
  assert.match(end.stderr, said);
  assert.equal(bench.has('gave-up') && !isAlive(bench.runcPid), true);
  isUndone(bench);
}

async function runs(bench: Bench): Promise<void> {
  const { ended } = await start(bench);
  bench.reply({ ok: true, action: 'run' });
  assert.equal((await ended).status, 0);
  assert.equal(bench.has('gave-up'), true);
  assert.equal(bench.runcArgs()?.includes('create'), true);
  assert.equal(bench.runcEnv('SEALIFT_GATE'), undefined);
}

async function ends(bench: Bench, signal: NodeJS.Signals, late: string): Promise<void> {
  const { child, ended } = await start(bench, { RUNC_LATE: late });
  if (late === '0') await settle();
  child.kill(signal);
  await ended;
  await until(() => bench.has('gave-up') && !isAlive(bench.runcPid));
  isUndone(bench);
}

async function leavesTheAgent(bench: Bench): Promise<void> {
  const { child, ended } = await start(bench, { RUNC_LATE: '3' });
  child.kill('SIGKILL');
  await ended;
  // Its keeper and runc have none of it: the agent knows at once that nobody waits any more.
  await until(() => bench.open === 0, 1500);
}

async function isStartedAgain(bench: Bench): Promise<void> {
  const { ended } = await start(bench);
  await settle();
  link(bench);
  bench.reply({ ...reply(bench), env: { SEALIFT_GATE: 'another' } });
  isRestored(bench, await ended);
  assert.equal(starts(bench).length, 2);
  assert.equal(bench.runcEnv('SEALIFT_GATE'), 'another');
}

async function survivesTheAgent(bench: Bench): Promise<void> {
  const { ended } = await start(bench);
  await bench.crash();
  await bench.listen({ notice: notice(bench) });
  await until(() => bench.requests.length === 2);
  await settle();
  link(bench);
  bench.reply(reply(bench));
  isRestored(bench, await ended);
  assert.equal(starts(bench).length, 1);
}

const keeperOf = (pid: number): number =>
  Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1]);

async function losesItsKeeper(bench: Bench): Promise<void> {
  const { ended } = await start(bench);
  await settle();
  const [first = 0] = starts(bench);
  process.kill(keeperOf(first), 'SIGKILL');
  await settle();
  link(bench);
  bench.reply(reply(bench));
  isRestored(bench, await ended);
  // The one that nobody keeps has read nothing.
  await until(() => bench.has('gave-up') && !isAlive(first));
  assert.equal(starts(bench).length, 2);
}

async function hasEnded(bench: Bench): Promise<void> {
  const { ended } = await start(bench);
  await settle();
  process.kill(bench.runcPid, 'SIGKILL');
  await settle();
  assert.equal(report(bench), undefined);
  link(bench);
  bench.reply(reply(bench));
  isRestored(bench, await ended);
  assert.equal(starts(bench).length, 2);
}

async function isNotStarted(bench: Bench, bad: object, prepare?: (bench: Bench) => void) {
  bench.annotate(CONTAINER);
  prepare?.(bench);
  await bench.listen({ notice: { ...notice(bench), ...bad } });
  const { ended } = bench.start('sealift-runc', create(bench));
  await until(() => bench.requests.length === 1);
  await settle();
  assert.deepEqual(starts(bench), []);
  bench.reply({ ok: true, action: 'run' });
  assert.equal((await ended).status, 0);
}

async function hasNoImages(bench: Bench): Promise<void> {
  const { ended } = await start(bench);
  await settle();
  // The agent has linked none.
  bench.reply(reply(bench));
  const end = await ended;
  assert.equal(end.status, 1);
  assert.match(end.stderr, /RestoreFailed: cannot hand the images in/);
  assert.equal(bench.has('gave-up') && !isAlive(bench.runcPid), true);
}

const plain = (bench: Bench): void => {
  mkdirSync(join(bench.dir, 'images'));
  writeFileSync(join(bench.dir, 'images/descriptors.json'), FILES);
};

const refusal = { ok: false, code: 'Aborted', message: 'the move was aborted' };
const cases: Record<string, (bench: Bench) => Promise<void>> = {
  'waits, and goes on with the reply': (bench) => goesOn(bench, '0'),
  'goes on if it comes to wait after the reply': (bench) => goesOn(bench, '0.5'),
  'has an outcome from the reply on': reports,
  'ends with a refusal': (bench) => isRefused(bench, refusal, /Aborted: the move/),
  'ends with a reply that is not understood': (bench) => isRefused(bench, { ok: 1 }, /BadReply/),
  'ends if the container is to run': runs,
  'ends with a create that is killed': (bench) => ends(bench, 'SIGKILL', '0'),
  'ends with a create that is asked to end': (bench) => ends(bench, 'SIGTERM', '0'),
  'ends with a create that is killed before it waits': (bench) => ends(bench, 'SIGKILL', '0.5'),
  'does not keep the connection of a killed create': leavesTheAgent,
  'is started again for another reply': isStartedAgain,
  'waits through a restart of the agent': survivesTheAgent,
  'is started again without its keeper': losesItsKeeper,
  'is started again if it has ended': hasEnded,
  'is not started where it would not wait': (bench) => isNotStarted(bench, {}, plain),
  'is not started without a directory': (bench) => isNotStarted(bench, {}),
  'is not started by a notice without images': (bench) =>
    isNotStarted(bench, { imagePath: undefined }, makeFifo),
  'is not started by a notice with a bad environment': (bench) =>
    isNotStarted(bench, { env: { A: 1 } }, makeFifo),
  'is not started by another notice': (bench) => isNotStarted(bench, { notice: 'else' }, makeFifo),
  'ends if the images are not there': hasNoImages,
};

export const aheadCases: Case[] = Object.entries(cases).map(([name, run]): Case => [
  `ahead: ${name}`,
  run,
]);
