// SPDX-License-Identifier: Apache-2.0
// Pods that have a controller move, and the controller counts them rightly.
import { arm, armedPoints, disarm, OPERATOR, waitUntilTripped } from '../faults/arming.ts';
import { controllerPoints } from '../faults/points.ts';
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { expectBalanced, numbersIn } from '../src/checks.ts';
import { kubectl, kubectlJson } from '../src/cluster.ts';
import type { MigrationRequest } from '../../crds/src/index.ts';
import { move, reportEntry, requestMove } from '../src/move.ts';
import {
  ControllerWatch,
  deployment,
  job,
  OwnedLedgerPair,
  ownedPods,
  readyPods,
  startOwned,
  statefulSet,
  type OwnedPod,
} from '../src/owned-pods.ts';
import { execInPod, podLog, podStatus } from '../src/pods.ts';
import { migration, readRequest, succeededCondition, waitUntilEnded } from '../src/requests.ts';
import { until } from '../src/wait.ts';

const MOVES = 3;
const names = (points: readonly { readonly point: string }[]): string[] =>
  points.map(({ point }) => point);

/** Counts until a file is there. */
const COUNT = 'i=0; while [ ! -e /tmp/end ]; do echo $i; i=$((i+1)); sleep 0.5; done';
const counter = ['/bin/sh', '-c', COUNT];

/** The last number, which has to be above the first one. */
const counted = (namespace: string, pod: string, from: number): Promise<number> =>
  until(`${pod} counts`, { within: 120 }, async () => {
    const n = numbersIn(await podLog(namespace, pod)).at(-1) ?? -1;
    return n > from + 3 ? n : undefined;
  });

/** Moves a counter, which has to continue. @returns the new pod's name */
async function moveCounter(context: CaseContext, pod: string): Promise<string> {
  const { namespace, results, log } = context;
  const before = await counted(namespace, pod, -1);
  const moved = await move({ namespace, pod, workload: 'counter' }, log);
  results.moves.push(moved.entry);
  await counted(namespace, moved.pod, before);
  const [first = 0] = numbersIn(await podLog(namespace, moved.pod));
  expect(first >= before, `the counter began again at ${first}, after ${before}`);
  return moved.pod;
}

interface SetStatus {
  readonly replicas?: number;
  readonly readyReplicas?: number;
}

/** Every point has been passed. */
async function expectTripped(points: readonly string[]): Promise<void> {
  const left = (await armedPoints(OPERATOR)).filter((one) => points.includes(one));
  expect(left.length === 0, `nothing has passed ${left.join()}`);
}

async function ofDeployment(context: CaseContext): Promise<void> {
  const { namespace } = context;
  await startOwned(deployment(3), { namespace, name: 'web', command: counter });
  const before = await readyPods(namespace, 'web', 3);
  const set = before[0]?.owner ?? '';
  const watch = new ControllerWatch<SetStatus>(namespace, 'web', `replicaset/${set}`);
  const points = names(controllerPoints.replicaSet);
  const moved: string[] = [];
  try {
    let pod = before[0]?.name ?? '';
    for (let turn = 1; turn <= MOVES; turn++) {
      // In one move the operator ends after each write, in another one before each, and continues.
      const side = turn === 2 ? '.after' : '.before';
      const armed = turn === 1 ? [] : points.filter((point) => point.endsWith(side));
      await arm(OPERATOR, armed, 'throw');
      pod = await moveCounter(context, pod);
      moved.push(pod);
      await expectTripped(armed);
    }
  } finally {
    await disarm([OPERATOR]);
    await watch.stop();
  }
  const wrong = watch.statuses.find(
    ({ replicas = 0, readyReplicas = 0 }) => replicas < 3 || replicas > 4 || readyReplicas > 3,
  );
  expect(wrong === undefined, `the set has counted ${JSON.stringify(wrong)}`);
  const all = [...before.map((one) => one.name), ...moved];
  const made = [...watch.names].filter((name) => !all.includes(name));
  expect(made.length === 0, `pods were made from nothing: ${made.join()}`);
  const after = await readyPods(namespace, 'web', 3);
  expect(after.length === 3, `there are ${after.length} pods`);
  expect(
    after.every((one) => one.owner === set),
    `not all belong to ${set}: ${JSON.stringify(after)}`,
  );
  context.log(`  ${watch.statuses.length} states of the ReplicaSet seen`);

  const pair = new OwnedLedgerPair(context, deployment(1), { rate: 150 });
  await pair.start();
  await pair.waitForOperations('client', 200);
  for (let turn = 1; turn <= MOVES; turn++) {
    await pair.move('server');
    await pair.waitForOperations('client', 200);
  }
  const errors = await pair.errorsSoFar();
  expect(errors.lost + errors.duplicated === 0, `the ledger found ${JSON.stringify(errors)}`);
  const left = await ownedPods(namespace, pair.name);
  expect(left.length === 1 && left[0]?.name === pair.pods.server, JSON.stringify(left));
}

interface JobStatus {
  readonly active?: number;
  readonly ready?: number;
  readonly succeeded?: number;
  readonly failed?: number;
  readonly completedIndexes?: string;
  readonly conditions?: { type: string; status: string }[];
}
const jobStatus = async (namespace: string, name: string): Promise<JobStatus> =>
  ((await kubectlJson('-n', namespace, 'get', 'job', name)) as { status: JobStatus }).status;

/** Waits until the Job has seen that its pods are ready: it has nothing to do then. @returns the pods */
async function readyJob(namespace: string, name: string, count: number): Promise<OwnedPod[]> {
  const pods = await readyPods(namespace, name, count);
  await until(`job ${name} has counted its pods`, { within: 60 }, async () =>
    (await jobStatus(namespace, name)).ready === count ? true : undefined,
  );
  return pods;
}

const jobEnds = (namespace: string, name: string, type: string): Promise<JobStatus> =>
  until(`job ${name} is ${type}`, { within: 180, every: 2 }, async () => {
    const status = await jobStatus(namespace, name);
    const isSo = status.conditions?.some((one) => one.type === type && one.status === 'True');
    return isSo ? status : undefined;
  });

/** A move that is cancelled: the pod has its place in the Job again. */
async function abortAndReturn(context: CaseContext, pod: string, points: string[]): Promise<void> {
  const { namespace } = context;
  const { node } = await podStatus(namespace, pod);
  const before = (await ownedPods(namespace, 'indexed')).find((one) => one.name === pod);
  const point = 'source.transfer.before';
  await arm(node, [point], 'throw');
  await arm(OPERATOR, points, 'throw');
  try {
    const name = await requestMove({ namespace, pod });
    const end = succeededCondition(
      await waitUntilEnded(migration, { namespace, name }, context.log),
    );
    expect(end?.status === 'False', `the move did not fail: ${JSON.stringify(end)}`);
    await expectTripped(points);
  } finally {
    await disarm([node, OPERATOR]);
  }
  const after = (await ownedPods(namespace, 'indexed')).find((one) => one.name === pod);
  expect(
    after?.owner === before?.owner && after?.finalizers.join() === before?.finalizers.join(),
    `the pod was ${JSON.stringify(before)} and is ${JSON.stringify(after)}`,
  );
}

async function ofIndexedJob(context: CaseContext): Promise<void> {
  const { namespace } = context;
  const indexed = job({ completions: 2, parallelism: 2, completionMode: 'Indexed' });
  await startOwned(indexed, { namespace, name: 'indexed', command: counter });
  const before = await readyJob(namespace, 'indexed', 2);
  const watch = new ControllerWatch<JobStatus>(namespace, 'indexed', 'job/indexed');
  const [first, second] = before.map((one) => one.name) as [string, string];
  const all = new Set([first, second]);
  let pod = first;
  try {
    await abortAndReturn(context, first, names(controllerPoints.jobAborted));
    for (let turn = 1; turn <= MOVES; turn++) {
      const points = turn === MOVES ? names(controllerPoints.job) : [];
      if (points.length > 0) await arm(OPERATOR, points, 'throw');
      const from = pod;
      pod = await moveCounter(context, from).catch((error: unknown) => {
        // After an injected error the operator may be back too late: the Job has deleted the target (docs/adr/0019).
        if (points.length === 0 || !String(error).includes('TargetGone')) throw error;
        context.log('  the Job has deleted the target: once more');
        return moveCounter(context, from);
      });
      all.add(pod);
      await expectTripped(points);
    }
  } finally {
    await disarm([OPERATOR]);
    await watch.stop();
  }
  const wrong = watch.statuses.find(({ active, failed }) => active !== 2 || (failed ?? 0) > 0);
  expect(wrong === undefined, `the Job has counted ${JSON.stringify(wrong)}`);
  for (const one of [pod, second]) await execInPod(namespace, one, 'touch /tmp/end');
  const { succeeded, failed, completedIndexes } = await jobEnds(namespace, 'indexed', 'Complete');
  expect(
    succeeded === 2 && (failed ?? 0) === 0 && completedIndexes === '0,1',
    `succeeded ${succeeded}, failed ${failed}, indexes ${completedIndexes}`,
  );
  const left = (await ownedPods(namespace, 'indexed')).filter((one) => !all.has(one.name));
  // One target was there only until its move was aborted.
  expect(left.length === 0, `pods were made from nothing: ${JSON.stringify(left)}`);
}

/** A Job whose time is over in the middle of a move ends its pod, which is not among its pods then. */
async function ofEndedJob(context: CaseContext): Promise<void> {
  const { namespace } = context;
  await startOwned(job({}), { namespace, name: 'ended', command: counter });
  const [made] = await readyJob(namespace, 'ended', 1);
  const { name: pod = '', node = '' } = made ?? {};
  const point = 'source.dump.before';
  const points = names(controllerPoints.jobFinished);
  await arm(node, [point], 'delay:10000');
  await arm(OPERATOR, points, 'throw');
  try {
    const name = await requestMove({ namespace, pod });
    await waitUntilTripped(node, point, 180);
    const patch = '{"spec":{"activeDeadlineSeconds":1}}';
    await kubectl('-n', namespace, 'patch', 'job', 'ended', '--type=merge', '-p', patch);
    const end = succeededCondition(
      await waitUntilEnded(migration, { namespace, name }, context.log),
    );
    expect(end?.status === 'False', `the move did not fail: ${JSON.stringify(end)}`);
    await jobEnds(namespace, 'ended', 'Failed');
    await until('the Job has no pods', { within: 120, every: 2 }, async () =>
      (await ownedPods(namespace, 'ended')).length === 0 ? true : undefined,
    );
    // A Job that is slower than the abort ends the source itself: it has it back by then.
    const waiting = (await armedPoints(OPERATOR)).filter((one) => points.includes(one));
    context.log(`  the ${waiting.length === 0 ? 'operator' : 'Job'} has ended the source`);
  } finally {
    await disarm([node, OPERATOR]);
  }
}

async function ofJob(context: CaseContext): Promise<void> {
  await ofIndexedJob(context);
  await ofEndedJob(context);
  const pair = new OwnedLedgerPair(context, job({}), { rate: 150 });
  await pair.start();
  await pair.waitForOperations('client', 200);
  for (let turn = 1; turn <= MOVES; turn++) {
    await pair.move('server');
    await pair.waitForOperations('client', 200);
  }
  await expectBalanced(pair, context.log);
  const { succeeded, failed } = await jobEnds(context.namespace, pair.name, 'Complete');
  expect(succeeded === 1 && (failed ?? 0) === 0, `succeeded ${succeeded}, failed ${failed}`);
}

/** Both moves of a pod, each with its limits. */
const WITHIN_BOTH = 900;

/** Moves a pod that keeps its name: it lands on another node, and comes back. */
async function moveByName(context: CaseContext, pod: string, workload: string): Promise<void> {
  const { namespace, results, log } = context;
  const { node } = await podStatus(namespace, pod);
  const name = await requestMove({ namespace, pod, to: node });
  const first = await waitUntilEnded(migration, { namespace, name, within: WITHIN_BOTH }, log);
  const end = succeededCondition(first);
  expect(end?.status === 'True', `the moves did not succeed: ${JSON.stringify(end)}`);
  const second = await secondOf(context, first);
  for (const request of [first, second]) {
    const entry = reportEntry(request, workload);
    results.moves.push(entry);
    const changed = Object.entries(entry.same).filter(([, same]) => !same);
    expect(changed.length === 0, `the move has changed ${changed.map(([key]) => key).join()}`);
  }
  expect(second.status?.target?.podName === pod, `it is ${second.status?.target?.podName} now`);
}

function secondOf({ namespace }: CaseContext, first: MigrationRequest): Promise<MigrationRequest> {
  const { requestName = '' } = first.status?.secondMove ?? {};
  return readRequest(migration, namespace, requestName);
}

async function expectMembers(context: CaseContext, set: string, count: number): Promise<void> {
  const pods = await readyPods(context.namespace, set, count);
  const wrong = pods.filter((one) => one.owner !== set || !/-[0-9]+$/.test(one.name));
  expect(wrong.length === 0, `not all are pods of ${set}: ${JSON.stringify(pods)}`);
}

/** A landing pod whose container starts from nothing is given up: the set makes its own pod once that one is gone. */
async function loseLandingPod(context: CaseContext, pod: string): Promise<void> {
  const { namespace, log } = context;
  const { node } = await podStatus(namespace, pod);
  const hold = 'operator.create-second-move.before';
  const points = names(controllerPoints.landingLost);
  await arm(OPERATOR, [hold], 'delay:30000');
  await arm(OPERATOR, points, 'throw');
  try {
    const name = await requestMove({ namespace, pod, to: node });
    const landing = await until('the landing pod is ready', { within: 420, every: 2 }, async () => {
      const { status } = await readRequest(migration, namespace, name);
      const isReady = status?.secondMove !== undefined;
      return isReady ? status.target?.podName : undefined;
    });
    await execInPod(namespace, landing, 'touch /tmp/end');
    const end = succeededCondition(
      await waitUntilEnded(migration, { namespace, name, within: WITHIN_BOTH }, log),
    );
    expect(end?.reason === 'TargetLost', `the move has not ended so: ${JSON.stringify(end)}`);
    await expectTripped(points);
    const left = (await ownedPods(namespace, 'db')).filter((one) => one.name === landing);
    expect(left.length === 0, `pod ${landing} is still there`);
  } finally {
    await disarm([OPERATOR]);
  }
  await expectMembers(context, 'db', 2);
  const [first = -1] = numbersIn(await podLog(namespace, pod));
  expect(first === 0, `the set’s own pod counts from ${first}`);
}

async function ofStatefulSet(context: CaseContext): Promise<void> {
  const { namespace } = context;
  await startOwned(statefulSet(2), { namespace, name: 'db', command: counter });
  const before = await readyPods(namespace, 'db', 2);
  const watch = new ControllerWatch<SetStatus>(namespace, 'db', 'statefulset/db');
  const points = names(controllerPoints.statefulSet);
  try {
    for (let turn = 1; turn <= MOVES; turn++) {
      const side = turn === 2 ? '.after' : '.before';
      const armed = turn === 1 ? [] : points.filter((point) => point.endsWith(side));
      await arm(OPERATOR, armed, 'throw');
      const from = await counted(namespace, 'db-0', -1);
      await moveByName(context, 'db-0', 'counter');
      await counted(namespace, 'db-0', from);
      const [first = 0] = numbersIn(await podLog(namespace, 'db-0'));
      expect(first >= from, `the counter began again at ${first}, after ${from}`);
      await expectTripped(armed);
    }
  } finally {
    await disarm([OPERATOR]);
    await watch.stop();
  }
  await expectMembers(context, 'db', 2);
  const host = (await execInPod(namespace, 'db-0', 'hostname')).trim();
  expect(host === 'db-0', `its host name is ${host}`);
  const known = before.map((one) => one.name);
  const landings = [...watch.names].filter((name) => !known.includes(name));
  expect(landings.length <= MOVES, `more pods than landing pods were made: ${landings.join()}`);
  await loseLandingPod(context, 'db-0');

  const pair = new OwnedLedgerPair(context, statefulSet(1), { rate: 150 });
  await pair.start();
  await pair.waitForOperations('client', 200);
  for (let turn = 1; turn <= MOVES; turn++) {
    await moveByName(context, pair.pods.server, 'ledger server');
    await pair.waitForOperations('client', 200);
  }
  const errors = await pair.errorsSoFar();
  expect(errors.lost + errors.duplicated === 0, `the ledger found ${JSON.stringify(errors)}`);
  await expectMembers(context, pair.name, 1);
}

export const cases: readonly Case[] = [
  {
    name: 'owner-deployment',
    promise:
      'A pod of a Deployment moves three times. Its ReplicaSet counts as many pods as before.',
    needs: ['shell'],
    run: ofDeployment,
  },
  {
    name: 'owner-job',
    promise:
      'A pod of a Job moves three times. It counts once, and as neither a failure nor a completion before its end.',
    needs: ['shell'],
    run: ofJob,
  },
  {
    name: 'owner-statefulset',
    promise:
      'A pod of a StatefulSet moves three times by way of landing pods, and keeps its name. No second pod of that name runs.',
    needs: ['shell'],
    run: ofStatefulSet,
  },
];
