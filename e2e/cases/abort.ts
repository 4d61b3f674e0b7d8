// SPDX-License-Identifier: Apache-2.0
// Moves that cannot be: the source goes on, its peer sees a pause at most, and the reason is told.
import { expect, type Case, type Context } from '../src/case.ts';
import { onNode } from '../src/lab.ts';
import { requestMove, type MoveOptions } from '../src/move.ts';
import { LedgerPair } from '../src/players.ts';
import { podNames, podStatus, startPod } from '../src/pods.ts';
import { isClean } from '../src/report.ts';
import { ended, eventsOf, migration, summary } from '../src/requests.ts';
import { until } from '../src/wait.ts';

/** Requests a move that has to fail; returns the reason. The source and nothing else is left. */
async function failing(
  c: Context,
  o: Omit<MoveOptions, 'namespace'> & { reasons: readonly string[] },
): Promise<string> {
  const { namespace } = c;
  const before = await podStatus(namespace, o.pod);
  const pods = await podNames(namespace);
  const name = await requestMove({ ...o, namespace });
  const request = await ended(migration, { namespace, name }, c.tell);
  const end = summary(request);
  expect(end?.status === 'False', `the move did not fail: ${JSON.stringify(end)}`);
  c.tell(`  ${end.reason}: ${end.message}`);
  expect(o.reasons.includes(end.reason), `reason ${end.reason}, not ${o.reasons.join(' or ')}`);
  expect(
    request.status?.decision?.outcome !== 'Committed',
    `decision ${JSON.stringify(request.status?.decision)}`,
  );
  const after = await podStatus(namespace, o.pod);
  expect(
    after.ready && after.node === before.node && after.restarts === before.restarts,
    `the source was touched: ${JSON.stringify(after)}`,
  );
  await until('the target is gone', { within: 90 }, async () =>
    (await podNames(namespace)).join() === pods.join() ? true : undefined,
  );
  await until('an event tells the reason', { within: 30 }, async () =>
    (await eventsOf(namespace, name)).some((e) => e.startsWith(`${end.reason}:`))
      ? true
      : undefined,
  );
  return end.reason;
}

/** CRIU cannot restore: a file that the process has open is on the source's node alone. */
async function notRestored(c: Context): Promise<void> {
  const path = `/var/tmp/${c.namespace}`;
  await onNode(c.nodes[0], `mkdir -p ${path}; echo here > ${path}/open`);
  const pair = new LedgerPair(c, {
    rate: 150,
    serverFolder: { path, type: 'DirectoryOrCreate' },
  });
  try {
    await pair.begin();
    await pair.progress('client', 300);
    await failing(c, { pod: pair.pods.server, to: c.nodes[1], reasons: ['RestoreFailed'] });
    await pair.progress('client', 300);
    await pair.stop('client');
    const { result, exits } = await pair.verdict();
    c.tell(`  ${JSON.stringify(result)}`);
    expect(isClean(result), `the ledger found ${JSON.stringify(result)}`);
    expect(exits.client === 0 && exits.server === 0, `exits ${JSON.stringify(exits)}`);
  } finally {
    for (const node of c.nodes) await onNode(node, `rm -rf ${path}`);
  }
}

/** The kubelet cannot start the target: a folder that it mounts is on the source's node alone. */
async function notPrepared(c: Context): Promise<void> {
  const path = `/var/tmp/${c.namespace}`;
  await onNode(c.nodes[0], `mkdir -p ${path}`);
  try {
    await startPod({
      namespace: c.namespace,
      name: 'local',
      node: c.nodes[0],
      command: ['/bin/sh', '-c', 'while :; do sleep 1; done'],
      folder: { path, type: 'Directory' },
    });
    await failing(c, {
      pod: 'local',
      to: c.nodes[1],
      timeouts: { prepareSeconds: 45 },
      reasons: ['PrepareDeadlineExceeded'],
    });
  } finally {
    await onNode(c.nodes[0], `rm -rf ${path}`);
  }
}

/** The other node has no room. */
async function notScheduled(c: Context): Promise<void> {
  const { namespace, nodes } = c;
  const command = ['/bin/sh', '-c', 'while :; do sleep 1; done'];
  for (const [name, node] of [
    ['stay', nodes[0]],
    ['filler', nodes[1]],
  ] as const)
    await startPod({ namespace, name, node, command, reserve: '500m' });
  await failing(c, {
    pod: 'stay',
    to: nodes[1],
    timeouts: { prepareSeconds: 60 },
    reasons: ['Unschedulable', 'TargetUnschedulable'],
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
