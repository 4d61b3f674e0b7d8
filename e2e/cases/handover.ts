// SPDX-License-Identifier: Apache-2.0
// What people and other moves do in the middle of a move.
import { arm, disarm, tripped } from '../faults/steps.ts';
import { expect, type Case, type Context } from '../src/case.ts';
import { targetIsGone, untouched, wentOn } from '../src/checks.ts';
import { kubectl } from '../src/lab.ts';
import { requestMove } from '../src/move.ts';
import { LedgerPair } from '../src/players.ts';
import { podNames, podStatus } from '../src/pods.ts';
import { ended, migration, remove, summary } from '../src/requests.ts';
import { until } from '../src/wait.ts';

/** Stops a move at a step and lets somebody end it there. */
async function stopped(
  c: Context,
  point: string,
  by: (name: string) => Promise<unknown>,
): Promise<void> {
  const { namespace, nodes } = c;
  const pair = new LedgerPair(c, { rate: 150 });
  await pair.begin();
  await pair.progress('client', 200);
  const before = await podStatus(namespace, pair.pods.server);
  const pods = await podNames(namespace);
  await arm(nodes[0], [point], 'delay:5000');
  try {
    const name = await requestMove({ namespace, pod: pair.pods.server, to: nodes[1] });
    await tripped(nodes[0], point, 180);
    await by(name);
  } finally {
    await disarm(nodes);
  }
  await targetIsGone(namespace, pods);
  await untouched(namespace, before);
  await wentOn(c, pair);
}

const cancelled = (c: Context, point: string): Promise<void> =>
  stopped(c, point, async (name) => {
    const patch = '{"spec":{"cancel":true}}';
    await kubectl('-n', c.namespace, 'patch', 'mreq', name, '--type=merge', '-p', patch);
    const end = summary(await ended(migration, { namespace: c.namespace, name }, c.tell));
    expect(end?.status === 'False' && end.reason === 'Cancelled', JSON.stringify(end));
  });

const deleted = (c: Context): Promise<void> =>
  stopped(c, 'source.transfer.before', async (name) => {
    await remove(migration, c.namespace, name);
    await until('the request is gone', { within: 120 }, async () =>
      (await kubectl('-n', c.namespace, 'get', 'mreq', '-o', 'name')) === '' ? true : undefined,
    );
  });

async function bothEnds(c: Context): Promise<void> {
  const pair = new LedgerPair(c, { rate: 150 });
  await pair.begin();
  await pair.progress('client', 200);
  await Promise.all([pair.move('server'), pair.move('client')]);
  await wentOn(c, pair);
}

/** The client begins to move while the server waits at its resume gate, and again while the client is there. */
async function chain(c: Context): Promise<void> {
  const pair = new LedgerPair(c, { rate: 150 });
  await pair.begin();
  await pair.progress('client', 200);
  const point = 'target.decide.before';
  try {
    for (const [first, second] of [
      ['server', 'client'],
      ['client', 'server'],
    ] as const) {
      const target = pair.nodes[first] === c.nodes[0] ? c.nodes[1] : c.nodes[0];
      await arm(target, [point], 'delay:8000');
      const moving = pair.move(first);
      await Promise.race([moving, tripped(target, point, 240)]);
      await Promise.all([moving, pair.move(second)]);
      await pair.progress('client', 100);
    }
  } finally {
    await disarm(c.nodes);
  }
  await wentOn(c, pair);
}

/** Two requests of the same second are told apart by their uid: the second one is made when the first is at work. */
async function twice(c: Context): Promise<void> {
  const { namespace, nodes } = c;
  const pair = new LedgerPair(c, { rate: 150 });
  await pair.begin();
  await pair.progress('client', 200);
  const second = async () => {
    await until('the first request is at work', { within: 60 }, async () => {
      const source = '-o=jsonpath={.items[*].status.source.podName}';
      return (await kubectl('-n', namespace, 'get', 'mreq', source)) || undefined;
    });
    const name = await requestMove({ namespace, pod: 'ledger-server', to: nodes[1] });
    const end = summary(await ended(migration, { namespace, name }, c.tell));
    expect(end?.status === 'False' && end.reason === 'AnotherMigration', JSON.stringify(end));
  };
  await Promise.all([pair.move('server'), second()]);
  await wentOn(c, pair);
}

export const cases: readonly Case[] = [
  {
    name: 'cancel-held',
    promise: 'spec.cancel while the source is held: it goes on, nothing is lost',
    run: (c) => cancelled(c, 'source.dump.before'),
  },
  {
    name: 'cancel-streaming',
    promise: 'spec.cancel while images are sent: the source goes on, nothing is lost',
    run: (c) => cancelled(c, 'source.transfer.before'),
  },
  {
    name: 'cancel-delete',
    promise: 'a request that is deleted in the middle is cancelled first, then gone',
    run: deleted,
  },
  {
    name: 'move-both-ends',
    promise: 'both ends move at the same time, past each other',
    run: bothEnds,
  },
  {
    name: 'move-chain',
    promise: "a pod begins to move while its peer's move is being decided",
    run: chain,
  },
  {
    name: 'move-twice',
    promise: 'a second request for the same pod is refused, the first one goes on',
    run: twice,
  },
];
