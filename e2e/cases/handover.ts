// SPDX-License-Identifier: Apache-2.0
// What people and other moves do in the middle of a move.
import { arm, disarm, waitUntilTripped } from '../faults/steps.ts';
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { waitUntilTargetGone, expectUntouched, expectContinues } from '../src/checks.ts';
import { kubectl } from '../src/lab.ts';
import { requestMove } from '../src/move.ts';
import { LedgerPair } from '../src/ledger-pair.ts';
import { podNames, podStatus } from '../src/pods.ts';
import { waitUntilEnded, migration, deleteRequest, succeededCondition } from '../src/requests.ts';
import { until } from '../src/wait.ts';

/** Stops a move at a step and lets somebody end it there. */
async function stopMoveAt(
  context: CaseContext,
  point: string,
  by: (name: string) => Promise<unknown>,
): Promise<void> {
  const { namespace, nodes } = context;
  const pair = new LedgerPair(context, { rate: 150 });
  await pair.start();
  await pair.waitForOperations('client', 200);
  const before = await podStatus(namespace, pair.pods.server);
  const pods = await podNames(namespace);
  await arm(nodes[0], [point], 'delay:5000');
  try {
    const name = await requestMove({ namespace, pod: pair.pods.server, to: nodes[1] });
    await waitUntilTripped(nodes[0], point, 180);
    await by(name);
  } finally {
    await disarm(nodes);
  }
  await waitUntilTargetGone(namespace, pods);
  await expectUntouched(namespace, before);
  await expectContinues(context, pair);
}

const cancelAt = (context: CaseContext, point: string): Promise<void> =>
  stopMoveAt(context, point, async (name) => {
    const patch = '{"spec":{"cancel":true}}';
    await kubectl('-n', context.namespace, 'patch', 'mreq', name, '--type=merge', '-p', patch);
    const end = succeededCondition(
      await waitUntilEnded(migration, { namespace: context.namespace, name }, context.log),
    );
    expect(end?.status === 'False' && end.reason === 'Cancelled', JSON.stringify(end));
  });

const deleteRequestAtTransfer = (context: CaseContext): Promise<void> =>
  stopMoveAt(context, 'source.transfer.before', async (name) => {
    await deleteRequest(migration, context.namespace, name);
    await until('the request is gone', { within: 120 }, async () =>
      (await kubectl('-n', context.namespace, 'get', 'mreq', '-o', 'name')) === ''
        ? true
        : undefined,
    );
  });

async function bothEnds(context: CaseContext): Promise<void> {
  const pair = new LedgerPair(context, { rate: 150 });
  await pair.start();
  await pair.waitForOperations('client', 200);
  await Promise.all([pair.move('server'), pair.move('client')]);
  await expectContinues(context, pair);
}

/** The client begins to move while the server waits at its resume gate, and again while the client is there. */
async function moveInTurn(context: CaseContext): Promise<void> {
  const pair = new LedgerPair(context, { rate: 150 });
  await pair.start();
  await pair.waitForOperations('client', 200);
  const point = 'target.decide.before';
  try {
    for (const [first, second] of [
      ['server', 'client'],
      ['client', 'server'],
    ] as const) {
      const target = pair.nodes[first] === context.nodes[0] ? context.nodes[1] : context.nodes[0];
      await arm(target, [point], 'delay:8000');
      const moving = pair.move(first);
      await Promise.race([moving, waitUntilTripped(target, point, 240)]);
      await Promise.all([moving, pair.move(second)]);
      await pair.waitForOperations('client', 100);
    }
  } finally {
    await disarm(context.nodes);
  }
  await expectContinues(context, pair);
}

/** Two requests of the same second are told apart by their uid: the second one is made when the first is at work. */
async function secondRequest(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  const pair = new LedgerPair(context, { rate: 150 });
  await pair.start();
  await pair.waitForOperations('client', 200);
  const second = async () => {
    await until('the first request is at work', { within: 60 }, async () => {
      const source = '-o=jsonpath={.items[*].status.source.podName}';
      return (await kubectl('-n', namespace, 'get', 'mreq', source)) || undefined;
    });
    const name = await requestMove({ namespace, pod: 'ledger-server', to: nodes[1] });
    const end = succeededCondition(
      await waitUntilEnded(migration, { namespace, name }, context.log),
    );
    expect(end?.status === 'False' && end.reason === 'AnotherMigration', JSON.stringify(end));
  };
  await Promise.all([pair.move('server'), second()]);
  await expectContinues(context, pair);
}

export const cases: readonly Case[] = [
  {
    name: 'cancel-held',
    promise: 'spec.cancel while the source is held: it goes on, nothing is lost',
    run: (context) => cancelAt(context, 'source.dump.before'),
  },
  {
    name: 'cancel-streaming',
    promise: 'spec.cancel while images are sent: the source goes on, nothing is lost',
    run: (context) => cancelAt(context, 'source.transfer.before'),
  },
  {
    name: 'cancel-delete',
    promise: 'a request that is deleted in the middle is cancelled first, then gone',
    run: deleteRequestAtTransfer,
  },
  {
    name: 'move-both-ends',
    promise: 'both ends move at the same time, past each other',
    run: bothEnds,
  },
  {
    name: 'move-chain',
    promise: "a pod begins to move while its peer's move is being decided",
    run: moveInTurn,
  },
  {
    name: 'move-twice',
    promise: 'a second request for the same pod is refused, the first one goes on',
    run: secondRequest,
  },
];
