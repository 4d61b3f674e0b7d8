// SPDX-License-Identifier: Apache-2.0
// The names of the fault points (kube/src/faults.ts) that operator and agent pass, read from their code.
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Points of the simulation itself. */
const ownPoints = ['api.decision', 'journal.replace'];

/** Parts of the product whose points a run passes. Others belong to code that is simulated. */
const pointName = /'((?:cni|checkpoint|images|operator|orphans|source|target)\.[\w-]+)'/g;

function findPoints(): string[] {
  const top = fileURLToPath(new URL('../..', import.meta.url));
  const found = new Set(ownPoints);
  for (const file of globSync('{operator,node-agent}/src/**/*.ts', { cwd: top })) {
    if (file.endsWith('.test.ts')) continue;
    const text = readFileSync(top + file, 'utf8');
    if (!text.includes('withFaults') && !text.includes('deletePod(')) continue;
    for (const [, name] of text.matchAll(pointName)) if (name !== undefined) found.add(name);
  }
  return [...found].sort();
}

export const faultPoints: readonly string[] = findPoints();
