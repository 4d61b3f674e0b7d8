// SPDX-License-Identifier: Apache-2.0
// A figure: the median of several runs, beside its floor and its goal.

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What the same work costs without Sealift, in the figure's unit, measured in the same runs. */
  readonly floor?: number;
  /** Value divided by floor. */
  readonly ratio?: number;
  /** The most that `of` may be. The growth is the value less the floor. */
  readonly goal?: { readonly of: 'value' | 'ratio' | 'growth'; readonly atMost: number };
  readonly met?: boolean;
  readonly runs: readonly number[];
  readonly floorRuns?: readonly number[];
  /** What a reader has to know to take the figure for what it is. */
  readonly note?: string;
}

export interface Measured {
  readonly name: string;
  readonly unit: string;
  readonly runs: readonly number[];
  readonly floorRuns?: readonly number[] | undefined;
  readonly goal?: Figure['goal'];
  readonly note?: string;
}

/** @throws Error without runs */
export function median(runs: readonly number[]): number {
  const sorted = [...runs].sort((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  if (low === undefined || high === undefined) throw new Error('There is no median of no runs.');
  return (low + high) / 2;
}

/** Of 1..n the smallest run that at least the share of all runs does not exceed. @throws Error without runs */
export function percentile(runs: readonly number[], share: number): number {
  const sorted = [...runs].sort((a, b) => a - b);
  const found = sorted[Math.max(Math.ceil(sorted.length * share) - 1, 0)];
  if (found === undefined) throw new Error('There is no percentile of no runs.');
  return found;
}

/** Pure. @throws Error without runs */
export function figureOf(measured: Measured): Figure {
  const { floorRuns, goal, ...rest } = measured;
  const value = median(measured.runs);
  const floor = floorRuns && median(floorRuns);
  const ratio = floor === undefined || floor === 0 ? undefined : value / floor;
  const growth = floor === undefined ? undefined : value - floor;
  const judged = goal && { value, ratio, growth }[goal.of];
  return {
    ...rest,
    value,
    ...(floorRuns && floor !== undefined && { floorRuns, floor }),
    ...(ratio !== undefined && { ratio }),
    ...(goal && { goal, met: judged !== undefined && judged <= goal.atMost }),
  };
}
