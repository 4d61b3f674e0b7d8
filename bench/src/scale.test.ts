// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { longest, mostAtOnce, scaleFigures, type Round } from './scale.ts';

const pause = (from: number, to: number) => ({ from, to });

describe('pauses', () => {
  it('are as long as the longest', () => {
    expect(longest([pause(10, 30), pause(0, 5)])).toBe(20);
    expect(longest([])).toBe(0);
  });

  it.each([
    ['none', [], 0],
    ['one', [pause(0, 1)], 1],
    ['one after the other', [pause(0, 5), pause(5, 9)], 1],
    ['overlapping ones', [pause(0, 5), pause(4, 9), pause(8, 12)], 2],
    ['one in another', [pause(2, 3), pause(0, 9), pause(2, 3)], 3],
    ['one of no length', [pause(4, 4)], 0],
  ] as const)('at once: %s', (_what, pauses, most) => {
    expect(mostAtOnce(pauses)).toBe(most);
  });
});

describe('the figures', () => {
  const round = (asked: number, pauses: readonly { from: number; to: number }[]): Round => ({
    ...{ asked, pauses, seconds: 7 },
  });
  const find = (rounds: readonly Round[], name: RegExp) =>
    scaleFigures(rounds).find((one) => name.test(one.name));

  it('set the longest of a round beside the lone moves', () => {
    const rounds = [
      round(1, [pause(0, 100)]),
      round(3, [pause(0, 150), pause(10, 260), pause(300, 400)]),
      round(1, [pause(0, 120)]),
      round(3, [pause(0, 190), pause(0, 10), pause(0, 10)]),
    ];
    expect(find(rounds, /^longest .* of 3/)).toMatchObject({
      ...{ runs: [250, 190], floorRuns: [100, 120], value: 220, floor: 110, ratio: 2, met: true },
    });
    expect(find(rounds, /^pods that stood still at once, of 3/)?.runs).toEqual([2, 3]);
    expect(find(rounds, /^moves that have failed, of 3/)).toMatchObject({
      runs: [0, 0],
      met: true,
    });
  });

  it('say what has failed, and give no pause of a round in which nothing has moved', () => {
    const rounds = [round(1, [pause(0, 100)]), round(11, []), round(3, [pause(0, 500)])];
    expect(find(rounds, /^longest .* of 11/)).toBeUndefined();
    expect(find(rounds, /^moves that have failed, of 11/)).toMatchObject({ value: 11, met: false });
    expect(find(rounds, /^moves that have failed, of 3/)).toMatchObject({ value: 2, met: false });
    expect(find(rounds, /^longest .* of 3/)).toMatchObject({ ratio: 5, met: false });
  });

  it('are none without a lone move', () => {
    expect(() => scaleFigures([round(1, []), round(3, [pause(0, 1)])])).toThrow(/no lone move/i);
  });
});
