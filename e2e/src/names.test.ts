// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { pick, strangers } from './names.ts';

const cases = ['move', 'move-back', 'mover'].map((name) => ({ name }));
const picked = (names: string) => pick(cases, names).map((one) => one.name);

describe('names', () => {
  it.each([
    ['', ['move', 'move-back', 'mover'], []],
    ['move', ['move', 'move-back'], []],
    ['move-back, mover', ['move-back', 'mover'], []],
    ['mov', [], ['mov']],
    ['mover,perftest', ['mover'], ['perftest']],
  ])('%j picks names and their beginnings, and what picks nothing is told', (names, all, none) => {
    expect(picked(names)).toEqual(all);
    expect(strangers(cases, names)).toEqual(none);
  });
});
