// SPDX-License-Identifier: Apache-2.0
// The fault points (kube/src/faults.ts) that operator and agent pass, as their code names them.
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The simulation's own: what no point of the product names. */
const own = ['api.decision', 'journal.replace'];

const named = /'((?:cni|checkpoint|holder|operator|source|target)\.[\w-]+)'/g;

function findPoints(): string[] {
  const top = fileURLToPath(new URL('../..', import.meta.url));
  const found = new Set(own);
  for (const file of globSync('{operator,node-agent}/src/**/*.ts', { cwd: top })) {
    if (file.endsWith('.test.ts')) continue;
    const text = readFileSync(top + file, 'utf8');
    if (!text.includes('withFaults') && !text.includes('deletePod(')) continue;
    for (const [, name] of text.matchAll(named)) if (name !== undefined) found.add(name);
  }
  return [...found].sort();
}

export const points: readonly string[] = findPoints();
