// SPDX-License-Identifier: Apache-2.0
// What lint does not see: circles of imports, and the length of files that are not TypeScript.
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { filesIn, read, root } from './repository.ts';

const files = filesIn(root);

/** What each file imports, types included: two modules that name each other cannot be read one after the other. */
const imports = new Map(
  files
    .filter((path) => path.endsWith('.ts'))
    .map((path) => {
      const names = read(path).matchAll(/\b(?:from|import) '(\.[^']+\.ts)'/g);
      return [path, [...names].map((found) => join(dirname(path), found[1] ?? ''))] as const;
    }),
);

/**
 * The first circle that a file leads to, or none.
 * @param trail the files that have led to it
 * @param done files that lead to no circle
 */
function circleFrom(path: string, trail: readonly string[], done: Set<string>): string[] {
  if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
  if (done.has(path)) return [];
  for (const next of imports.get(path) ?? []) {
    const circle = circleFrom(next, [...trail, path], done);
    if (circle.length > 0) return circle;
  }
  done.add(path);
  return [];
}

it('no imports form a circle', () => {
  expect(imports.size).toBeGreaterThan(0);
  const done = new Set<string>();
  for (const path of imports.keys()) expect(circleFrom(path, [], done)).toEqual([]);
});

/** Tables of tests may be longer: eslint.config.js has their limit. */
const isSource = (path: string): boolean =>
  /\.(ts|cjs|js|c|h|cc|cpp|py|sh|pml|mk)$/.test(path) && !path.endsWith('.test.ts');

it('no source file is longer than 400 lines', () => {
  const lines = (path: string): number => read(path).trimEnd().split('\n').length;
  expect(files.filter(isSource).filter((path) => lines(path) > 400)).toEqual([]);
});
