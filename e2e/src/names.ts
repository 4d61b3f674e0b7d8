// SPDX-License-Identifier: Apache-2.0
// Selects by CASE and LANES: a list of names, or of beginnings of names up to a dash, separated by commas or blanks.

interface Named {
  readonly name: string;
}

const split = (names: string): string[] => names.split(/[\s,]+/).filter(Boolean);
const isCalled = ({ name }: Named, wanted: string): boolean =>
  name === wanted || name.startsWith(`${wanted}-`);

/** The items that the list names. An empty list names all. */
export function pickByName<T extends Named>(all: readonly T[], names: string): T[] {
  const wanted = split(names);
  if (wanted.length === 0) return [...all];
  return all.filter((c) => wanted.some((name) => isCalled(c, name)));
}

/** The names in the list that match no item. */
export function unknownNames(all: readonly Named[], names: string): string[] {
  return split(names).filter((name) => !all.some((c) => isCalled(c, name)));
}
