// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { figureOf, median, percentile } from './figure.ts';
import { pickParts } from './parts.ts';
import { table, withPart, type Machine } from './report.ts';
import { draw } from './timeline.ts';

describe('figures', () => {
  it('are medians and nearest-rank percentiles', () => {
    expect(median([5, 1, 3])).toBe(3);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(percentile([4, 1, 3, 2], 0.99)).toBe(4);
    expect(percentile([4, 1, 3, 2], 0.5)).toBe(2);
    expect(() => median([])).toThrow(/no runs/);
  });

  it.each([
    ['value', 10, true],
    ['value', 9, false],
    ['ratio', 2, true],
    ['ratio', 1.9, false],
    ['growth', 5, true],
    ['growth', 4, false],
  ] as const)('meet a goal of the %s of at most %d: %s', (of, atMost, met) => {
    const runs = { runs: [9, 10, 11], floorRuns: [4, 5, 6] };
    const figure = figureOf({ name: 'x', unit: 'ms', ...runs, goal: { of, atMost } });
    expect(figure).toMatchObject({ value: 10, floor: 5, ratio: 2, met });
  });

  it.each(['ratio', 'growth'] as const)('do not meet a goal of a %s without a floor', (of) => {
    expect(figureOf({ name: 'x', unit: '', runs: [1], goal: { of, atMost: 2 } }).met).toBe(false);
  });
});

describe('the report', () => {
  const machine: Machine = { cpu: 'x', cpus: 2, memoryGiB: 4, kernel: '6', node: 'v24' };
  const part = (name: string, value: number) => ({
    ...{ part: name, measuredAt: '2026-01-01T00:00:00Z', on: 'here' },
    figures: [figureOf({ name: 'x', unit: 'ms', runs: [value] })],
  });

  it('keeps the figures of the other parts', () => {
    const first = withPart(undefined, part('a', 1), machine);
    const both = withPart(withPart(first, part('b', 2), machine), part('a', 3), machine);
    expect(both.figures.map((one) => [one.part, one.value])).toEqual([
      ['b', 2],
      ['a', 3],
    ]);
  });

  it('says in the table which goals are not met', () => {
    const goal = { of: 'value', atMost: 1 } as const;
    const text = table([
      figureOf({ name: 'slow', unit: 'ms', runs: [2, 2.5, 3], goal }),
      figureOf({ name: 'plain', unit: 'ms', runs: [2] }),
    ]);
    expect(text).toMatch(/\| slow .*2\.5 ms.*2 – 3.*value ≤ 1 .*NOT MET/);
    expect(table([figureOf({ name: 'x', unit: '', runs: [5235] })])).toContain('| 5235 ');
    expect(text.split('\n').every((line) => line.startsWith('|'))).toBe(true);
  });
});

describe('the parts', () => {
  it('are picked by name', () => {
    expect(pickParts('native')).toEqual(['native']);
    expect(pickParts('scale,native')).toEqual(['native', 'scale']);
    expect(pickParts('')).toContain('native');
    expect(() => pickParts('naitve')).toThrow(/no part naitve/);
  });
});

describe('the picture', () => {
  it('has the spans around the blackout, escaped, and no others', () => {
    const spans = [
      { lane: 'a', name: 'PATCH <x>', from: 1010, to: 1020 },
      { lane: 'a', name: 'long before', from: 10, to: 20 },
    ];
    const text = draw(spans, 1000, 1100);
    expect(text).toContain('PATCH &lt;x&gt;: 10.0 to 20.0 ms');
    expect(text).not.toContain('long before');
  });
});
