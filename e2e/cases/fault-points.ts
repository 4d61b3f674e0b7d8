// SPDX-License-Identifier: Apache-2.0
// Every fault point of the product fails once while traffic flows: the move either succeeds or is aborted, and no
// operation is lost. Each case logs the pauses that aborts cost.
import { abortCost } from '../faults/abort-cost.ts';
import {
  cancelPoints,
  deletionPoints,
  installPoints,
  checkpointPoints,
  armedMoves,
  startPoints,
  stopPoints,
  type ArmedPoint,
  type ArmedMove,
  type FaultLocation,
} from '../faults/points.ts';
import { arm, armedPoints, disarm, OPERATOR, waitUntilTripped } from '../faults/arming.ts';
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { expectBalanced, waitUntilTargetGone, expectUntouched } from '../src/checks.ts';
import { kubectl, kubectlJson } from '../src/cluster.ts';
import { cancelMove, requestMove, waitUntilCancelled } from '../src/move.ts';
import { LedgerPair } from '../src/ledger-pair.ts';
import { IDLE, newAddress, waitUntilPodEnded, podNames, podStatus, startPod } from '../src/pods.ts';
import type { Ability } from '../src/provider/provider.ts';
import {
  checkpoint,
  createRequest,
  waitUntilEnded,
  migration,
  deleteRequest,
  restore,
  succeededCondition,
} from '../src/requests.ts';
import { until } from '../src/wait.ts';

/** The node of each location; the operator's is OPERATOR. */
type LocationNames = Record<FaultLocation, string>;

async function armAll(armed: readonly ArmedPoint[], locationNames: LocationNames): Promise<void> {
  for (const location of ['source', 'target', 'operator'] as const) {
    const points = armed.filter((one) => one.location === location).map((one) => one.point);
    if (points.length > 0) await arm(locationNames[location], points, 'throw');
  }
}

/** Waits until every armed point has failed. */
async function expectAllTripped(
  armed: readonly ArmedPoint[],
  locationNames: LocationNames,
  within = 120,
): Promise<void> {
  const used = [...new Set(armed.map((one) => locationNames[one.location]))];
  await until('every armed point is passed', { within, every: 3 }, async () => {
    const left = (await Promise.all(used.map(armedPoints))).flat();
    if (left.length > 0) throw new Error(`still armed: ${left.join(', ')}`);
    return true;
  });
}

const otherNode = (context: CaseContext, node: string): string =>
  context.nodes[node === context.nodes[0] ? 1 : 0];

/** One move of the ledger's server with points armed. */
async function moveArmed(context: CaseContext, pair: LedgerPair, armed: ArmedMove): Promise<void> {
  const { namespace } = context;
  const pod = pair.pods.server;
  const source = pair.nodes.server;
  const locationNames: LocationNames = {
    source,
    target: otherNode(context, source),
    operator: OPERATOR,
  };
  const before = await podStatus(namespace, pod);
  const pods = await podNames(namespace);
  await armAll(armed.points, locationNames);
  const timeouts = { prepareSeconds: 600 };
  const name = await requestMove({ namespace, pod, to: locationNames.target, timeouts });
  const key = { namespace, name, within: 900 };
  const request = await waitUntilEnded(migration, key, () => undefined);
  const end = succeededCondition(request);
  const outcome = request.status?.decision?.outcome;
  const ended = `${armed.name}: ${end?.reason}: ${end?.message}`;
  expect(outcome === armed.decision, `${ended}: decided ${outcome}, not ${armed.decision}`);
  await expectAllTripped(armed.points, locationNames);
  if (armed.decision === 'Committed') {
    expect(end?.status === 'True', ended);
    pair.follow('server', request.status?.target?.podName ?? '', locationNames.target);
    context.log(
      `  ${armed.name}: moved, blackout ${request.status?.report?.blackoutMs?.toFixed(0)} ms`,
    );
    return;
  }
  await waitUntilTargetGone(context.namespace, pods);
  await expectUntouched(namespace, before);
  const cost = abortCost(request);
  expect(cost !== undefined, `${ended}: the status does not say when the source resumed`);
  context.log(`  ${armed.name}: ${end?.reason}, pause ${cost} ms`);
}

/** The operator's proposal to abort fails before and after the write. */
async function cancelArmed(context: CaseContext, pair: LedgerPair): Promise<void> {
  const { namespace } = context;
  const source = pair.nodes.server;
  const locationNames: LocationNames = {
    source,
    target: otherNode(context, source),
    operator: OPERATOR,
  };
  const pods = await podNames(namespace);
  await arm(source, ['source.dump.before'], 'delay:5000');
  await armAll(cancelPoints, locationNames);
  const name = await requestMove({ namespace, pod: pair.pods.server, to: locationNames.target });
  await waitUntilTripped(source, 'source.dump.before', 180);
  await cancelMove(namespace, name);
  const request = await waitUntilCancelled(namespace, name, () => undefined);
  await expectAllTripped(cancelPoints, locationNames);
  await waitUntilTargetGone(context.namespace, pods);
  context.log(`  cancelled before the dump: pause ${abortCost(request)} ms`);

  await armAll(deletionPoints, locationNames);
  await deleteRequest(migration, namespace, name);
  await expectAllTripped(deletionPoints, locationNames, 240);
}

async function failInMoves(context: CaseContext, name: keyof typeof armedMoves): Promise<void> {
  // With a shared receive queue and an address handle, so that the driver's points for them are passed too.
  const extraArguments = ['--srq', '--datagrams'];
  const pair = new LedgerPair(context, { rate: 100, extraArguments });
  await pair.start();
  await pair.waitForOperations('client', 200);
  for (const armed of armedMoves[name]) {
    await moveArmed(context, pair, armed);
    await pair.waitForOperations('client', 50);
  }
  if (name === 'repeated') await cancelArmed(context, pair);
  await expectBalanced(pair, context.log);
}

/** The kubelet reports a container whose start has failed. The next container starts. */
async function failInStart(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  const locationNames: LocationNames = { source: nodes[0], target: nodes[1], operator: OPERATOR };
  for (const [n, one] of startPoints.entries()) {
    await armAll([one], locationNames);
    const pod = { namespace, name: `start-${n}`, node: nodes[0], command: ['/bin/true'] };
    const failed = await startPod(pod).then(
      () => false,
      () => true,
    );
    expect(failed, `${one.point}: the pod has started nevertheless`);
    await expectAllTripped([one], locationNames);
  }
  await startPod({ namespace, name: 'start', node: nodes[0], command: ['/bin/true'] });
  await waitUntilPodEnded(namespace, 'start', 60);
}

/** A pod is deleted although its CNI DEL has failed, and the next pod can use its address. */
async function failInStop(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  const locationNames: LocationNames = { source: nodes[0], target: nodes[1], operator: OPERATOR };
  const command = IDLE;
  const pod = { namespace, name: 'stop', node: nodes[0], address: newAddress(), command };
  for (const one of stopPoints) {
    await startPod(pod);
    await armAll([one], locationNames);
    await kubectl('-n', namespace, 'delete', 'pod', pod.name, '--grace-period=1', '--timeout=120s');
    await expectAllTripped([one], locationNames);
    context.log(`  ${one.point}: gone`);
  }
  await startPod(pod);
}

/** The kubelet restarts an agent that has failed in its installation until it is ready. */
async function failInInstall(context: CaseContext): Promise<void> {
  const locationNames: LocationNames = {
    source: context.nodes[0],
    target: context.nodes[1],
    operator: OPERATOR,
  };
  const agents = ['-n', 'sealift', '-l', 'app.kubernetes.io/component=agent'];
  const here = `spec.nodeName=${context.nodes[0]}`;
  for (const armed of installPoints) {
    await armAll(armed, locationNames);
    await kubectl('delete', 'pod', ...agents, '--field-selector', here, '--timeout=120s');
    await expectAllTripped(armed, locationNames, 300);
  }
  await until('the agent is ready', { within: 300 }, async () => {
    const list = (await kubectlJson('get', 'pods', ...agents, '--field-selector', here)) as {
      items: { status: { conditions?: { type: string; status: string }[] } }[];
    };
    const ready = list.items.some((pod) =>
      pod.status.conditions?.some((one) => one.type === 'Ready' && one.status === 'True'),
    );
    return ready ? true : undefined;
  });
}

async function checkpointEnd(context: CaseContext, name: string, retention?: object) {
  const { namespace } = context;
  await createRequest(checkpoint, namespace, name, {
    podName: 'counter',
    ...(retention && { retention }),
  });
  return succeededCondition(await waitUntilEnded(checkpoint, { namespace, name }, () => undefined));
}

async function failInCheckpoints(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  const locationNames: LocationNames = { source: nodes[0], target: nodes[1], operator: OPERATOR };
  const command = IDLE;
  const before = await startPod({ namespace, name: 'counter', node: nodes[0], command });
  for (const [n, one] of checkpointPoints.failing.entries()) {
    await armAll([one], locationNames);
    const end = await checkpointEnd(context, `failing-${n}`);
    context.log(`  ${one.point}: ${end?.reason}`);
    await expectAllTripped([one], locationNames);
    await expectUntouched(namespace, before);
  }
  const whole = await checkpointEnd(context, 'whole');
  expect(whole?.status === 'True', `${whole?.reason}: ${whole?.message}`);
  const restores = [
    ...[...checkpointPoints.sent, ...checkpointPoints.verified].map(
      (one) => [one, nodes[1]] as const,
    ),
    ...checkpointPoints.decrypted.map((one) => [one, nodes[0]] as const),
  ];
  for (const [n, [one, targetNodeName]] of restores.entries()) {
    await armAll([one], locationNames);
    const name = `restore-${n}`;
    const spec = { checkpointName: 'whole', podName: `copy-${n}`, targetNodeName };
    await createRequest(restore, namespace, name, spec);
    const end = succeededCondition(
      await waitUntilEnded(restore, { namespace, name }, () => undefined),
    );
    context.log(`  ${one.point}: ${end?.reason}`);
    await expectAllTripped([one], locationNames);
  }
  await armAll(checkpointPoints.removed, locationNames);
  await checkpointEnd(context, 'short', { ttlSeconds: 1 });
  await until('the checkpoint is gone', { within: 120 }, async () =>
    (await kubectl('-n', namespace, 'get', 'creq', '-o', 'name')).includes('/short')
      ? undefined
      : true,
  );
  await expectAllTripped(checkpointPoints.removed, locationNames);
}

/** Disarms all points after a case. */
const thenDisarm =
  (work: (context: CaseContext) => Promise<void>) => async (context: CaseContext) => {
    try {
      await work(context);
    } finally {
      await disarm([...context.nodes, OPERATOR]);
    }
  };

const promises: Record<keyof typeof armedMoves, string> = {
  repeated:
    'Work that fails once after a decision, or that a client requests again, is repeated. No operation is lost.',
  source: 'If an effect of the source fails, the move is aborted and costs only a pause.',
  dump: 'If the CRIU plugin or the driver fails in the dump, the move is aborted and costs only a pause.',
  target: 'If an effect of the target fails, the move is aborted and costs only a pause.',
  restore:
    'If the CRIU plugin or the driver fails in the restore, the move is aborted and costs only a pause.',
};

/** A driver's points are armed in its module: in the kernel of one node alone. */
const neededBy = (name: keyof typeof armedMoves): Ability[] =>
  armedMoves[name].some((move) => move.points.some(({ point }) => point.startsWith('driver.')))
    ? ['shell', 'own-kernel']
    : ['shell'];

export const cases: readonly Case[] = [
  ...(['repeated', 'source', 'dump', 'target', 'restore'] as const).map((name) => ({
    name: `fault-points-${name}`,
    promise: promises[name],
    needs: neededBy(name),
    run: thenDisarm((context) => failInMoves(context, name)),
  })),
  {
    name: 'fault-points-others',
    promise:
      'Failures in starting, deleting and checkpointing pods and in installing an agent do no lasting harm.',
    needs: ['shell'],
    run: thenDisarm(async (context) => {
      await failInStart(context);
      await failInStop(context);
      await failInCheckpoints(context);
      await failInInstall(context);
    }),
  },
];
