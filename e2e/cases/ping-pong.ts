// SPDX-License-Identifier: Apache-2.0
// What is left behind after many moves: nothing.
import type { Case, Context } from '../src/case.ts';
import { wentOn } from '../src/checks.ts';
import { counts, files, grown, shown, type Counts } from '../src/counts.ts';
import { kubectl } from '../src/lab.ts';
import { LedgerPair } from '../src/players.ts';
import { podNames, podStatus } from '../src/pods.ts';
import { until } from '../src/wait.ts';

const MOVES = 50;

/** A kubelet tells late that a pod runs, and what does not run is not moved. */
async function moveOn(c: Context, pair: LedgerPair): Promise<void> {
  await until('the pod runs', { within: 60 }, async () => {
    const { phase } = await podStatus(c.namespace, pair.pods.server);
    return phase === 'Running' ? true : undefined;
  });
  await pair.move('server');
}

/**
 * A node keeps a small record of a move for as long as its request is there: what is counted is what outlives it.
 * The files of others' requests stay, and were there before.
 */
async function settled(c: Context, others: readonly string[]): Promise<Counts> {
  await kubectl('-n', c.namespace, 'delete', 'mreq', '--all', '--timeout=300s');
  return until('only the pair is left', { within: 300, every: 5 }, async () => {
    if ((await podNames(c.namespace)).length !== 2) return undefined;
    const left = (await files(c.nodes)).filter((file) => !others.includes(file));
    return left.length === 0 ? counts(c.nodes) : undefined;
  });
}

async function pingPong(c: Context): Promise<void> {
  const others = await files(c.nodes);
  const pair = new LedgerPair(c, { rate: 100 });
  await pair.begin();
  await pair.progress('client', 200);
  // The first two fill caches.
  for (let n = 0; n < 2; n++) await moveOn(c, pair);
  const before = await settled(c, others);
  c.tell(`  ${shown(before)}`);
  for (let n = 3; n <= MOVES; n++) {
    c.tell(`  move ${n} of ${MOVES}`);
    await moveOn(c, pair);
  }
  let after = await settled(c, others);
  // What was deleted takes a while to go.
  await until('nothing has grown', { within: 180, every: 10 }, async () => {
    after = await counts(c.nodes);
    return grown(before, after).length === 0 ? true : undefined;
  }).finally(() => c.tell(`  ${shown(after)}`));
  await wentOn(c, pair);
}

export const cases: readonly Case[] = [
  {
    name: 'move-ping-pong',
    promise: `${MOVES} moves there and back leave nothing behind on the nodes`,
    run: pingPong,
  },
];
