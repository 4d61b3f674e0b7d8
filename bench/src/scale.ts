// SPDX-License-Identifier: Apache-2.0
// The arithmetic of the part `scale`: several moves off one node, and how much longer a pod stands still than in a move
// that has the node to itself. Pure.
import { figureOf, type Figure } from './figure.ts';

/** From a pod's hold to its resume, in milliseconds since the epoch. */
export interface Pause {
  readonly from: number;
  readonly to: number;
}

/** Moves that were asked for at the same moment. */
export interface Round {
  /** How many. */
  readonly asked: number;
  /** Of those that have succeeded. */
  readonly pauses: readonly Pause[];
  /** From the first request to the end of the last move. */
  readonly seconds: number;
}

const lengthOf = ({ from, to }: Pause): number => to - from;

/** @returns milliseconds; 0 without pauses */
export const longest = (pauses: readonly Pause[]): number => Math.max(0, ...pauses.map(lengthOf));

/** The most pods that stood still at one moment. One that begins as another ends is not beside it. */
export function mostAtOnce(pauses: readonly Pause[]): number {
  const changes = pauses
    .flatMap(({ from, to }) => [
      { at: from, by: 1 },
      { at: to, by: -1 },
    ])
    .sort((one, other) => one.at - other.at || one.by - other.by);
  let now = 0;
  return changes.reduce((most, { by }) => Math.max(most, (now += by)), 0);
}

/**
 * @param rounds of all sizes, in the order in which they ran. A round counts beside the lone moves of all runs.
 * @throws Error if no lone move has succeeded
 */
export function scaleFigures(rounds: readonly Round[]): Figure[] {
  const lone = rounds
    .filter(({ asked, pauses }) => asked === 1 && pauses.length === 1)
    .map(({ pauses }) => longest(pauses));
  if (lone.length === 0)
    throw new Error('No lone move has succeeded: there is nothing to compare with.');
  const sizes = [...new Set(rounds.map(({ asked }) => asked))].filter((size) => size > 1);
  return [
    figureOf({ name: 'blackout of a lone move', unit: 'ms', runs: lone }),
    ...sizes.flatMap((size) =>
      figuresOf(
        size,
        rounds.filter(({ asked }) => asked === size),
        lone,
      ),
    ),
  ];
}

function figuresOf(size: number, rounds: readonly Round[], lone: readonly number[]): Figure[] {
  const what = `of ${size} moves off one node`;
  // The longest pause of a round in which nothing has moved says nothing.
  const moved = rounds.filter(({ pauses }) => pauses.length > 0);
  const runs = moved.map(({ pauses }) => longest(pauses));
  return [
    ...(runs.length === 0
      ? []
      : [
          figureOf({
            name: `longest blackout ${what} / a lone one's`,
            unit: 'ms',
            ...{ runs, floorRuns: lone, goal: { of: 'ratio', atMost: 2 } },
          }),
          figureOf({
            name: `pods that stood still at once, ${what}`,
            unit: '',
            runs: moved.map(({ pauses }) => mostAtOnce(pauses)),
            note: 'The operator starts as many moves off a node as operator.limits.migrationsPerNode says; the others wait in its queue.',
          }),
        ]),
    figureOf({
      name: `moves that have failed, ${what}`,
      unit: '',
      runs: rounds.map(({ asked, pauses }) => asked - pauses.length),
      goal: { of: 'value', atMost: 0 },
    }),
    figureOf({
      name: `until the last had ended, ${what}`,
      unit: 's',
      runs: rounds.map((one) => one.seconds),
    }),
  ];
}
