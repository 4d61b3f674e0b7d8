// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { pickByName, unknownNames } from './names.ts';

const cases = ['move', 'move-back', 'mover'].map((name) => ({ name }));
const picked = (names: string) => pickByName(cases, names).map((one) => one.name);

describe('names', () => {
  it.each([
    ['', ['move', 'move-back', 'mover'], []],
    ['move', ['move', 'move-back'], []],
    ['move-back, mover', ['move-back', 'mover'], []],
    ['mov', [], ['mov']],
    ['mover,perftest', ['mover'], ['perftest']],
  ])(
    '%j selects by whole names and by beginnings, and unknown names are reported',
    (names, all, none) => {
      expect(picked(names)).toEqual(all);
      expect(unknownNames(cases, names)).toEqual(none);
    },
  );
});
