// SPDX-License-Identifier: Apache-2.0
// What lint does not see: circles of imports and of includes, and the length of files that are not TypeScript.
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { filesIn, read, root } from './repository.ts';

const files = filesIn(root);

/** Of each module, the modules that it names. Two that name each other cannot be read one after the other. */
type Graph = ReadonlyMap<string, ReadonlySet<string>>;

/** TypeScript: a module is a file; imports of types count. */
function imports(): Graph {
  return new Map(
    files
      .filter((path) => path.endsWith('.ts'))
      .map((path) => {
        const names = read(path).matchAll(/\b(?:from|import) '(\.[^']+\.ts)'/g);
        return [path, new Set([...names].map((found) => join(dirname(path), found[1] ?? '')))];
      }),
  );
}

/** Where the Makefiles' `-I` finds a header that does not lie beside the file that includes it. */
const includeDirectories = ['native/criu-plugin', 'native/rxe/uapi', 'native/rxe/tests'];

/** C and C++: a module is `x.c` or `x.cc` with the `x.h` beside it. Headers of the kernel and of libraries are none. */
function includes(): Graph {
  const sources = files.filter((path) => /^(native|e2e\/workloads)\/.*\.(c|cc|h)$/.test(path));
  const known = new Set(sources);
  const moduleOf = (path: string): string => path.replace(/\.\w+$/, '');
  const graph = new Map<string, Set<string>>();
  for (const path of sources) {
    const of = moduleOf(path);
    const named = graph.get(of) ?? new Set();
    graph.set(of, named);
    for (const [, name = ''] of read(path).matchAll(/^\s*#\s*include\s+"([^"]+)"/gm)) {
      const header = [dirname(path), ...includeDirectories]
        .map((directory) => join(directory, name))
        .find((candidate) => known.has(candidate));
      if (header !== undefined && moduleOf(header) !== of) named.add(moduleOf(header));
    }
  }
  return graph;
}

/**
 * The first circle that a module leads to, or none.
 * @param trail the modules that have led to it
 * @param done modules that lead to no circle
 */
function circleFrom(
  graph: Graph,
  module: string,
  trail: readonly string[],
  done: Set<string>,
): string[] {
  if (trail.includes(module)) return [...trail.slice(trail.indexOf(module)), module];
  if (done.has(module)) return [];
  for (const next of graph.get(module) ?? []) {
    const circle = circleFrom(graph, next, [...trail, module], done);
    if (circle.length > 0) return circle;
  }
  done.add(module);
  return [];
}

it.each([
  ['imports', imports()],
  ['includes of C and C++', includes()],
])('no %s form a circle', (_, graph) => {
  expect(graph.size).toBeGreaterThan(0);
  const done = new Set<string>();
  for (const module of graph.keys()) expect(circleFrom(graph, module, [], done)).toEqual([]);
});

/** Tables of tests may be longer: eslint.config.js has their limit. */
const isSource = (path: string): boolean =>
  /\.(ts|cjs|js|c|h|cc|cpp|py|sh|pml|mk)$/.test(path) && !path.endsWith('.test.ts');

it('no source file is longer than 400 lines', () => {
  const lines = (path: string): number => read(path).trimEnd().split('\n').length;
  expect(files.filter(isSource).filter((path) => lines(path) > 400)).toEqual([]);
});
