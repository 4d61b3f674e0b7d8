// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { lacksVectors } from './completion-vectors.ts';

it.each([
  [undefined, '2'],
  ['', '2'],
  ['many', '2'],
  ['-1', undefined],
  ['0', undefined],
  ['2', '2'],
  ['2', '64'],
  ['9', '10'],
  // While agents are upgraded one after another, the ones to come do not say it yet.
  ['2', undefined],
  ['2', ''],
  ['2', 'x'],
])('programs of a node with %s may run on one with %s', (from, to) => {
  expect(lacksVectors(from, to)).toBeUndefined();
});

it.each([
  ['4', '2', /fewer completion vectors .*: 2, not 4;/],
  ['10', '9', /: 9, not 10;/],
])('programs of a node with %s may not run on one with %s', (from, to, text) => {
  expect(lacksVectors(from, to)).toMatch(text);
});
