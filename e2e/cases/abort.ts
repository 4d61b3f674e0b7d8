// SPDX-License-Identifier: Apache-2.0
// Moves that cannot be: the source goes on, its peer sees a pause at most, and the reason is told.
import { arm, disarm, tripped } from '../faults/steps.ts';
import { whenCriuRuns } from '../faults/victims.ts';
import { expect, type Case, type Context } from '../src/case.ts';
import { notMoved, wentOn } from '../src/checks.ts';
import { kubectl, onNode } from '../src/lab.ts';
import { requestMove } from '../src/move.ts';
import { LedgerPair } from '../src/players.ts';
import { IDLE, startPod } from '../src/pods.ts';
import { ended, migration, summary } from '../src/requests.ts';

const configMap = (c: Context): Promise<string> =>
  kubectl('-n', c.namespace, 'create', 'configmap', 'settings', '--from-literal=open=here');

/** CRIU cannot restore: each kubelet keeps a ConfigMap's files in a folder of another name. */
async function notRestored(c: Context): Promise<void> {
  await configMap(c);
  const pair = new LedgerPair(c, { rate: 150, serverConfigMap: 'settings' });
  await pair.begin();
  await pair.progress('client', 300);
  await notMoved(c, { pod: pair.pods.server, to: c.nodes[1], reason: 'RestoreFailed' });
  await wentOn(c, pair, 300);
}

/** Killed with the tasks in its hands and their TCP sockets in repair mode. */
async function criuKilled(c: Context): Promise<void> {
  const pair = new LedgerPair(c, { rate: 150 });
  await pair.begin();
  for (const when of ['before', 'after']) {
    await pair.progress('client', 200);
    await arm(c.nodes[0], [`plugin.dump.image.${when}`], 'crash');
    try {
      await notMoved(c, { pod: pair.pods.server, to: c.nodes[1], reason: 'CheckpointFailed' });
    } finally {
      await disarm(c.nodes);
    }
  }
  await wentOn(c, pair, 300);
}

/** The next agent finds its predecessor's CRIU at work, and lets it give up before it does anything. */
async function agentKilled(c: Context): Promise<void> {
  const { namespace, nodes } = c;
  const pair = new LedgerPair(c, { rate: 150 });
  await pair.begin();
  await pair.progress('client', 200);
  const point = 'source.dump.before';
  await arm(nodes[0], [point], 'delay:2000');
  const name = await requestMove({ namespace, pod: pair.pods.server, to: nodes[1] });
  await tripped(nodes[0], point, 180).finally(() => disarm(nodes));
  const kill = 'pkill -KILL -f "[/]opt/app/agent.js run" && pgrep -x criu | wc -l';
  expect((await onNode(nodes[0], whenCriuRuns(kill))).trim() !== '0', 'CRIU had ended already');
  const request = await ended(migration, { namespace, name }, c.tell);
  c.tell(`  ${summary(request)?.reason}: ${summary(request)?.message}`);
  const { decision, target } = request.status ?? {};
  if (decision?.outcome === 'Committed') pair.follow('server', target?.podName ?? '', nodes[1]);
  await wentOn(c, pair, 300);
}

/** The kubelet cannot start the target: what it mounts has been deleted since. */
async function notPrepared(c: Context): Promise<void> {
  const { namespace, nodes } = c;
  await configMap(c);
  const node = nodes[0];
  await startPod({ namespace, name: 'local', node, command: IDLE, configMap: 'settings' });
  await kubectl('-n', namespace, 'delete', 'configmap', 'settings');
  await notMoved(c, {
    pod: 'local',
    to: nodes[1],
    timeouts: { prepareSeconds: 45 },
    reason: 'PrepareDeadlineExceeded',
  });
}

/** The other node has no room. */
async function notScheduled(c: Context): Promise<void> {
  const { namespace, nodes } = c;
  for (const [name, node] of [
    ['stay', nodes[0]],
    ['filler', nodes[1]],
  ] as const)
    await startPod({ namespace, name, node, command: IDLE, reserve: '500m' });
  await notMoved(c, {
    pod: 'stay',
    to: nodes[1],
    timeouts: { prepareSeconds: 60 },
    reason: 'TargetUnschedulable',
  });
}

export const cases: readonly Case[] = [
  {
    name: 'abort-restore',
    promise: 'a target that cannot be restored: the ledger goes on at the source, nothing is lost',
    inTest: true,
    run: notRestored,
  },
  {
    name: 'abort-criu-killed',
    promise: 'a CRIU that is killed while it dumps costs a pause: RDMA and TCP go on',
    inTest: true,
    run: criuKilled,
  },
  {
    name: 'abort-agent-in-dump',
    promise: 'an agent that is killed while its CRIU dumps costs a pause: RDMA and TCP go on',
    run: agentKilled,
  },
  {
    name: 'abort-prepare',
    promise: 'a target that cannot be prepared: the source is not touched',
    run: notPrepared,
  },
  {
    name: 'abort-schedule',
    promise: 'a target that cannot be scheduled: the source is not touched',
    run: notScheduled,
  },
];
