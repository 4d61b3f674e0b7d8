// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { countProcessors } from './completion-vectors.ts';

it.each([
  ['0\n', 1],
  ['0-3\n', 4],
  ['0-3,8,10-11', 7],
  ['', undefined],
  ['all', undefined],
  ['3-0', undefined],
])('%j has so many processors: %s', (list, count) => {
  expect(countProcessors(list)).toBe(count);
});
