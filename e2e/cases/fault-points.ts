// SPDX-License-Identifier: Apache-2.0
// Every fault point of the product fails once, with traffic flowing: a move either goes on to its end or is given up,
// and nothing is lost either way. What each abort cost is told.
import { abortCost } from '../faults/abort-cost.ts';
import {
  cancelled,
  forgotten,
  installed,
  kept,
  rounds,
  started,
  stopped,
  type Arm,
  type Round,
  type Where,
} from '../faults/points.ts';
import { arm, armed, disarm, OPERATOR, tripped } from '../faults/steps.ts';
import { expect, type Case, type Context } from '../src/case.ts';
import { balanced, targetIsGone, untouched } from '../src/checks.ts';
import { kubectl, kubectlJson } from '../src/lab.ts';
import { requestMove } from '../src/move.ts';
import { LedgerPair } from '../src/players.ts';
import { IDLE, newAddress, podEnd, podNames, podStatus, startPod } from '../src/pods.ts';
import { checkpoint, create, ended, migration, remove, restore, summary } from '../src/requests.ts';
import { until } from '../src/wait.ts';

type Places = Record<Where, string>;

async function armAll(arms: readonly Arm[], places: Places): Promise<void> {
  for (const where of ['source', 'target', 'operator'] as const) {
    const points = arms.filter((one) => one.where === where).map((one) => one.point);
    if (points.length > 0) await arm(places[where], points, 'throw');
  }
}

/** Every point that was armed has failed. */
async function allPassed(arms: readonly Arm[], places: Places, within = 120): Promise<void> {
  const used = [...new Set(arms.map((one) => places[one.where]))];
  await until('every point that is armed is passed', { within, every: 3 }, async () => {
    const left = (await Promise.all(used.map(armed))).flat();
    if (left.length > 0) throw new Error(`still armed: ${left.join(', ')}`);
    return true;
  });
}

const other = (c: Context, node: string): string => c.nodes[node === c.nodes[0] ? 1 : 0];

/** One move of the ledger's server with points armed. */
async function play(c: Context, pair: LedgerPair, round: Round): Promise<void> {
  const { namespace } = c;
  const pod = pair.pods.server;
  const source = pair.nodes.server;
  const places: Places = { source, target: other(c, source), operator: OPERATOR };
  const before = await podStatus(namespace, pod);
  const pods = await podNames(namespace);
  await armAll(round.arms, places);
  const timeouts = { prepareSeconds: 600 };
  const name = await requestMove({ namespace, pod, to: places.target, timeouts });
  const of = { namespace, name, within: 900 };
  const request = await ended(migration, of, () => undefined);
  const end = summary(request);
  const outcome = request.status?.decision?.outcome;
  const said = `${round.name}: ${end?.reason}: ${end?.message}`;
  expect(outcome === round.end, `${said}: decided ${outcome}, not ${round.end}`);
  await allPassed(round.arms, places);
  if (round.end === 'Committed') {
    expect(end?.status === 'True', said);
    pair.follow('server', request.status?.target?.podName ?? '', places.target);
    c.tell(`  ${round.name}: moved, blackout ${request.status?.report?.blackoutMs?.toFixed(0)} ms`);
    return;
  }
  await targetIsGone(c.namespace, pods);
  await untouched(namespace, before);
  const cost = abortCost(request);
  expect(cost !== undefined, `${said}: the status does not say when the source went on`);
  c.tell(`  ${round.name}: ${end?.reason}, pause ${cost} ms`);
}

/** The operator's own proposal, which fails before and after it is written. */
async function cancel(c: Context, pair: LedgerPair): Promise<void> {
  const { namespace } = c;
  const source = pair.nodes.server;
  const places: Places = { source, target: other(c, source), operator: OPERATOR };
  const pods = await podNames(namespace);
  await arm(source, ['source.dump.before'], 'delay:5000');
  await armAll(cancelled, places);
  const name = await requestMove({ namespace, pod: pair.pods.server, to: places.target });
  await tripped(source, 'source.dump.before', 180);
  const patch = '{"spec":{"cancel":true}}';
  await kubectl('-n', namespace, 'patch', 'mreq', name, '--type=merge', '-p', patch);
  const request = await ended(migration, { namespace, name }, () => undefined);
  expect(summary(request)?.reason === 'Cancelled', JSON.stringify(summary(request)));
  await allPassed(cancelled, places);
  await targetIsGone(c.namespace, pods);
  c.tell(`  cancelled while held: pause ${abortCost(request)} ms`);

  await armAll(forgotten, places);
  await remove(migration, namespace, name);
  await allPassed(forgotten, places, 240);
}

async function walkMoves(c: Context, of: keyof typeof rounds): Promise<void> {
  const pair = new LedgerPair(c, { rate: 100 });
  await pair.begin();
  await pair.progress('client', 200);
  for (const round of rounds[of]) {
    await play(c, pair, round);
    await pair.progress('client', 50);
  }
  if (of === 'repeated') await cancel(c, pair);
  await balanced(pair, c.tell);
}

/** A container whose start fails is told of by the kubelet; the next one starts. */
async function walkStart(c: Context): Promise<void> {
  const { namespace, nodes } = c;
  const places: Places = { source: nodes[0], target: nodes[1], operator: OPERATOR };
  for (const [n, one] of started.entries()) {
    await armAll([one], places);
    const pod = { namespace, name: `start-${n}`, node: nodes[0], command: ['/bin/true'] };
    const failed = await startPod(pod).then(
      () => false,
      () => true,
    );
    expect(failed, `${one.point}: the pod has started all the same`);
    await allPassed([one], places);
  }
  await startPod({ namespace, name: 'start', node: nodes[0], command: ['/bin/true'] });
  await podEnd(namespace, 'start', 60);
}

/** A pod whose network's end fails goes all the same, and its address is free for the next one. */
async function walkStop(c: Context): Promise<void> {
  const { namespace, nodes } = c;
  const places: Places = { source: nodes[0], target: nodes[1], operator: OPERATOR };
  const command = IDLE;
  const pod = { namespace, name: 'stop', node: nodes[0], address: newAddress(), command };
  for (const one of stopped) {
    await startPod(pod);
    await armAll([one], places);
    await kubectl('-n', namespace, 'delete', 'pod', pod.name, '--grace-period=1', '--timeout=120s');
    await allPassed([one], places);
    c.tell(`  ${one.point}: gone`);
  }
  await startPod(pod);
}

/** An agent that fails while it starts is started again until it is there. */
async function walkInstall(c: Context): Promise<void> {
  const places: Places = { source: c.nodes[0], target: c.nodes[1], operator: OPERATOR };
  const agents = ['-n', 'sealift', '-l', 'app.kubernetes.io/component=agent'];
  const here = `spec.nodeName=${c.nodes[0]}`;
  for (const arms of installed) {
    await armAll(arms, places);
    await kubectl('delete', 'pod', ...agents, '--field-selector', here, '--timeout=120s');
    await allPassed(arms, places, 300);
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

async function checkpointEnd(c: Context, name: string, retention?: object) {
  const { namespace } = c;
  await create(checkpoint, namespace, name, {
    podName: 'counter',
    ...(retention && { retention }),
  });
  return summary(await ended(checkpoint, { namespace, name }, () => undefined));
}

async function walkKept(c: Context): Promise<void> {
  const { namespace, nodes } = c;
  const places: Places = { source: nodes[0], target: nodes[1], operator: OPERATOR };
  const command = IDLE;
  const before = await startPod({ namespace, name: 'counter', node: nodes[0], command });
  for (const [n, one] of kept.failing.entries()) {
    await armAll([one], places);
    const end = await checkpointEnd(c, `failing-${n}`);
    c.tell(`  ${one.point}: ${end?.reason}`);
    await allPassed([one], places);
    await untouched(namespace, before);
  }
  const whole = await checkpointEnd(c, 'whole');
  expect(whole?.status === 'True', `${whole?.reason}: ${whole?.message}`);
  for (const [n, one] of [...kept.sent, ...kept.verified].entries()) {
    await armAll([one], places);
    const name = `restore-${n}`;
    const spec = { checkpointName: 'whole', podName: `copy-${n}`, targetNodeName: nodes[1] };
    await create(restore, namespace, name, spec);
    const end = summary(await ended(restore, { namespace, name }, () => undefined));
    c.tell(`  ${one.point}: ${end?.reason}`);
    await allPassed([one], places);
  }
  await armAll(kept.removed, places);
  await checkpointEnd(c, 'short', { ttlSeconds: 1 });
  await until('the checkpoint is gone', { within: 120 }, async () =>
    (await kubectl('-n', namespace, 'get', 'creq', '-o', 'name')).includes('/short')
      ? undefined
      : true,
  );
  await allPassed(kept.removed, places);
}

const walk = (work: (c: Context) => Promise<void>) => async (c: Context) => {
  try {
    await work(c);
  } finally {
    await disarm([...c.nodes, OPERATOR]);
  }
};

const promises: Record<keyof typeof rounds, string> = {
  repeated:
    'what fails once after a decision, or is asked for again, is done again: nothing is lost',
  source: "each of the source's effects that fails ends the move, and costs a pause",
  dump: 'a plugin or a driver that fails while CRIU dumps ends the move, and costs a pause',
  target: "each of the target's effects that fails ends the move, and costs a pause",
  restore: 'a plugin or a driver that fails while CRIU restores ends the move, and costs a pause',
};

export const cases: readonly Case[] = [
  ...(['repeated', 'source', 'dump', 'target', 'restore'] as const).map((of) => ({
    name: `fault-points-${of}`,
    promise: promises[of],
    run: walk((c) => walkMoves(c, of)),
  })),
  {
    name: 'fault-points-others',
    promise: 'every fault point of starting, ending, checkpointing and installing fails once',
    run: walk(async (c) => {
      await walkStart(c);
      await walkStop(c);
      await walkKept(c);
      await walkInstall(c);
    }),
  },
];
