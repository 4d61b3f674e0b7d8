// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { secondsIn } from './values.ts';

it.each<[string, number]>([
  ['300', 300],
  ['90s', 90],
  ['5m', 300],
  ['1h30m', 5400],
  ['1h0m5s', 3605],
  ['500h', 1_800_000],
])('the time %s has %d seconds', (timeout, seconds) => {
  expect(secondsIn({ timeout }, 'timeout')).toBe(seconds);
});

it('a time that is not given is none', () => {
  expect(secondsIn({}, 'timeout')).toBeUndefined();
});
