// SPDX-License-Identifier: Apache-2.0
// What CASE and LANES name: names or beginnings of them, up to a dash, separated by commas or blanks.

interface Named {
  readonly name: string;
}

const split = (names: string): string[] => names.split(/[\s,]+/).filter(Boolean);
const isCalled = ({ name }: Named, wanted: string): boolean =>
  name === wanted || name.startsWith(`${wanted}-`);

/** Those that are called so; empty picks all. */
export function pick<T extends Named>(all: readonly T[], names: string): T[] {
  const wanted = split(names);
  if (wanted.length === 0) return [...all];
  return all.filter((c) => wanted.some((name) => isCalled(c, name)));
}

/** Those of the names that pick nothing. */
export function strangers(all: readonly Named[], names: string): string[] {
  return split(names).filter((name) => !all.some((c) => isCalled(c, name)));
}
