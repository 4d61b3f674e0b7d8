// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { foundInEach } from './looks.ts';

const found = async (looks: string[][], asFirst: boolean) => {
  const waited: number[] = [];
  const all = [...looks];
  const result = await foundInEach(
    async () => all.shift() ?? [],
    (one) => one.slice(0, 1),
    { betweenMs: 7, asFirst, sleep: async (ms) => waited.push(ms) },
  );
  return { result, waited, left: all.length };
};

it.each<[string, string[][], string[], number, boolean?]>([
  ['nothing after a look that finds nothing', [[], ['a']], [], 0],
  ['nothing that one of them has not', [['a', 'b'], ['b'], ['a', 'b']], ['b'], 2],
  ['nothing that only a later one has', [['a'], ['a', 'b'], ['a', 'b']], ['a'], 2],
  ['what each has, as the last has it', [['a1', 'a2'], ['a3'], ['a4']], ['a4'], 2],
  ['what each has, as the first has it', [['a1', 'a2'], ['a3'], ['a4']], ['a1', 'a2'], 2, true],
  ['nothing once all of it is gone', [['a'], ['b'], ['a']], [], 1],
])('three looks find %s', async (_, looks, result, waits, asFirst = false) => {
  const seen = await found(looks, asFirst);
  expect(seen.result).toEqual(result);
  expect(seen.waited).toEqual(Array(waits).fill(7));
  expect(seen.left).toBe(looks.length - 1 - waits);
});
