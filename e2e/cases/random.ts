// SPDX-License-Identifier: Apache-2.0
// Random programs of verbs, moved at random moments: what the inspection accepts moves, and what it refuses it names before it
// holds anything. SEEDS chooses programs: `make e2e CASE=random-programs SEEDS=1-20`.
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { requestMove } from '../src/move.ts';
import { podStatus } from '../src/pods.ts';
import { RandomPair, refusals, seedsIn, touchedBy } from '../src/random-pair.ts';
import {
  createRequest,
  migration,
  readRequest,
  succeededCondition,
  waitUntilEnded,
} from '../src/requests.ts';
import { sleepSeconds } from '../src/wait.ts';

let lastLook = 0;

/** What is in the way of a move, as text. */
async function findings(context: CaseContext, pod: string): Promise<readonly string[]> {
  const { namespace } = context;
  const name = `look-${pod.slice(0, 40)}-${++lastLook}`;
  await createRequest(migration, namespace, name, { podName: pod, dryRun: true });
  await waitUntilEnded(migration, { namespace, name, within: 90 }, context.log);
  const { status } = await readRequest(migration, namespace, name);
  expect(status?.inspection !== undefined, `dry run ${name} has found nothing out`);
  return status.inspection.findings.map(({ reason, message }) => `${reason}: ${message}`);
}

/** It is named by a dry run, and by a request, which touches nothing. */
async function expectNamed(context: CaseContext, pair: RandomPair, what: string): Promise<void> {
  const { namespace, log } = context;
  const { moves, seed } = pair.plan;
  const pod = pair.pods[moves];
  const pattern = refusals[what];
  expect(pattern !== undefined, `nobody knows how "${what}" is named`);
  const found = await findings(context, pod);
  const others = found.filter(
    (one) => !one.startsWith('UnsupportedObject: ') || !pattern.test(one),
  );
  expect(found.length > 0, `seed ${seed}: the dry run does not find "${what}"`);
  expect(others.length === 0, `seed ${seed}: the dry run finds ${others.join('\n')}`);
  const name = await requestMove({ namespace, pod });
  const request = await waitUntilEnded(migration, { namespace, name, within: 120 }, log);
  const { reason, message = '' } = succeededCondition(request) ?? {};
  expect(
    reason === 'UnsupportedObject' && pattern.test(message),
    `seed ${seed}: the request ended with ${reason}: ${message}`,
  );
  const { ready, restarts } = await podStatus(namespace, pod);
  expect(ready && restarts === 0, `seed ${seed}: the pod was touched`);
  const touched = touchedBy(request);
  expect(touched.length === 0, `seed ${seed}: the request did ${touched.join(', ')} to the pod`);
  log(`  seed ${seed}: "${what}" is named: ${message.slice(0, 120)}`);
}

async function runSeed(context: CaseContext, seed: number): Promise<void> {
  const pair = new RandomPair(context, seed);
  await pair.start();
  const { moves, momentMs, family } = pair.plan;
  const refused = await pair.refused();
  context.log(`  seed ${seed}: ${moves} moves, family ${family}, refused: ${refused}`);
  if (refused !== 'nothing') {
    await expectNamed(context, pair, refused);
    await pair.drop(refused);
  }
  const found = await findings(context, pair.pods[moves]);
  expect(found.length === 0, `seed ${seed}: the dry run finds ${found.join('\n')}`);
  await sleepSeconds(momentMs / 1000);
  // What was accepted may not fail any more.
  await pair.move(moves);
  await pair.waitForLine(moves, 'it works on', /^progress [1-9]/m, 120);
  const verdicts = await pair.finish();
  const operations = verdicts.reduce((sum, one) => sum + one.operations, 0);
  context.log(`  seed ${seed}: ${operations} completions, everything is as it has to be`);
}

async function run(context: CaseContext): Promise<void> {
  for (const seed of seedsIn(process.env['SEEDS'])) await runSeed(context, seed);
}

export const cases: readonly Case[] = [
  {
    name: 'random-programs',
    promise:
      'Random verbs programs: what cannot be moved is named before the hold, and all else moves and finds everything right.',
    run,
  },
];
