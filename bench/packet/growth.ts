// SPDX-License-Identifier: Apache-2.0
// How much longer the path of a message is than with the distribution's driver.
import { figureOf, type Figure } from '../src/figure.ts';
import type { Executed } from './executed.ts';

/**
 * The mean of each message and the next one. Two ends post in turns: what one of them still does for a message when the other has
 * posted counts for the other's, so that messages may be short and long in turns.
 */
const inTurns = (counts: readonly number[]): readonly number[] =>
  counts.length < 2
    ? counts
    : counts.slice(1).map((count, index) => (count + (counts[index] ?? 0)) / 2);

const perMessage = (traced: Executed, name: string): readonly number[] =>
  inTurns(traced.messages.map((one) => one.get(name) ?? 0));

const ofAll = (traced: Executed): readonly number[] =>
  inTurns(traced.messages.map((one) => [...one.values()].reduce((sum, count) => sum + count, 0)));

/**
 * A figure for each function that most messages execute with either driver, and one for all functions together. A message in which
 * a timer has run out is one of many: medians are compared, of each message and the next.
 *
 * @param kind what the messages are, for people
 * @param atMost instructions that a function may execute more than the distribution's, in a message
 * @throws Error if no message was traced from beginning to end
 */
export function grownFigures(
  kind: string,
  own: Executed,
  stock: Executed,
  atMost: number,
): Figure[] {
  if (own.messages.length === 0 || stock.messages.length === 0)
    throw new Error(`${kind}: no message was traced from beginning to end.`);
  const names = [...new Set([...own.names, ...stock.names])].sort();
  const figures = names.map((name) =>
    figureOf({
      name: `${kind}: ${name}`,
      unit: '',
      runs: perMessage(own, name),
      floorRuns: perMessage(stock, name),
      goal: { of: 'growth', atMost },
    }),
  );
  return [
    ...figures.filter((one) => one.value !== 0 || one.floor !== 0),
    figureOf({
      name: `${kind}: all of the module`,
      unit: '',
      runs: ofAll(own),
      floorRuns: ofAll(stock),
    }),
  ];
}
