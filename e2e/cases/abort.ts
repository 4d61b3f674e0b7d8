// SPDX-License-Identifier: Apache-2.0
// Moves that cannot be: the source goes on, its peer sees a pause at most, and the reason is told.
import type { Case, Context } from '../src/case.ts';
import { balanced, notMoved } from '../src/checks.ts';
import { kubectl } from '../src/lab.ts';
import { LedgerPair } from '../src/players.ts';
import { startPod } from '../src/pods.ts';

const configMap = (c: Context): Promise<string> =>
  kubectl('-n', c.namespace, 'create', 'configmap', 'settings', '--from-literal=open=here');

/** CRIU cannot restore: each kubelet keeps a ConfigMap's files in a folder of another name. */
async function notRestored(c: Context): Promise<void> {
  await configMap(c);
  const pair = new LedgerPair(c, { rate: 150, serverConfigMap: 'settings' });
  await pair.begin();
  await pair.progress('client', 300);
  await notMoved(c, { pod: pair.pods.server, to: c.nodes[1], reason: 'RestoreFailed' });
  await pair.progress('client', 300);
  await balanced(pair, c.tell);
}

const IDLE = ['/bin/sh', '-c', 'while :; do sleep 1; done'];

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
