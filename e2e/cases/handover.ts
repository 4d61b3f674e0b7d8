// SPDX-License-Identifier: Apache-2.0
// What users and other moves do during a move.
import { arm, disarm, waitUntilTripped } from '../faults/arming.ts';
import { stopMove } from '../faults/stopped-move.ts';
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { expectUntouched, expectContinues } from '../src/checks.ts';
import { kubectl } from '../src/cluster.ts';
import { cancelMove, requestMove, waitUntilCancelled } from '../src/move.ts';
import { LedgerPair } from '../src/ledger-pair.ts';
import { podStatus } from '../src/pods.ts';
import { waitUntilEnded, migration, deleteRequest, succeededCondition } from '../src/requests.ts';
import { until } from '../src/wait.ts';

/** Delays a move at a fault point, calls `by` with the request's name, and expects that the move is aborted. */
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
  const wanted = { namespace, pod: pair.pods.server, to: nodes[1] };
  await stopMove(context, wanted, { source: nodes[0], point }, by);
  await expectUntouched(namespace, before);
  await expectContinues(context, pair);
}

const cancelAt = (context: CaseContext, point: string): Promise<void> =>
  stopMoveAt(context, point, async (name) => {
    await cancelMove(context.namespace, name);
    await waitUntilCancelled(context.namespace, name, context.log);
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

/** The client begins to move while the server waits at its resume gate; then the other way round. */
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

/** Of two requests of the same second, the UID decides which is first. So the second one is made after the first has begun. */
async function secondRequest(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  const pair = new LedgerPair(context, { rate: 150 });
  await pair.start();
  await pair.waitForOperations('client', 200);
  const second = async () => {
    await until('the first request has begun', { within: 60 }, async () => {
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
    name: 'cancel-dumping',
    promise: 'spec.cancel before the dump: the source resumes, and no operation is lost.',
    needs: ['shell'],
    run: (context) => cancelAt(context, 'source.dump.before'),
  },
  {
    name: 'cancel-transferring',
    promise: 'spec.cancel during the transfer: the source resumes, and no operation is lost.',
    needs: ['shell'],
    run: (context) => cancelAt(context, 'source.transfer.before'),
  },
  {
    name: 'cancel-delete',
    promise: 'A request that is deleted during the move is cancelled first, then removed.',
    needs: ['shell'],
    run: deleteRequestAtTransfer,
  },
  {
    name: 'move-both-ends',
    promise: 'Both endpoints move at the same time, in opposite directions.',
    run: bothEnds,
  },
  {
    name: 'move-chain',
    promise: "A pod begins to move while its peer's move is being decided.",
    needs: ['shell'],
    run: moveInTurn,
  },
  {
    name: 'move-twice',
    promise:
      'A second request for the same pod fails with AnotherMigration. The first one succeeds.',
    run: secondRequest,
  },
];
