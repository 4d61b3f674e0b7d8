// SPDX-License-Identifier: Apache-2.0
// For tests: real containerds, those of the lab's and of kind's nodes, or $SEALIFT_CONTAINERD (paths, with a colon between
// them). None of them is the one of this machine.
import { execFileSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'vitest';

const lab = process.env['LAB'] ?? join(import.meta.dirname, '../../../build/lab');
const places = ['kind-containerd-*/containerd', 'node-tree-*/usr/bin/containerd'];

/**
 * What `describe` takes for each containerd. Where none has been built it is one suite that is skipped, and says why: a file
 * without a suite is a failure.
 */
export function eachContainerd(skip?: string) {
  const found = skip === undefined ? containerds() : [];
  if (skip !== undefined) console.warn(`SKIPPED, ${skip}`);
  const rows = found.length > 0 ? found : [{ version: 'of the lab or of kind', program: '' }];
  return describe
    .skipIf(found.length === 0)
    .each(rows.map(({ version, program }) => [version, program] as const));
}

/** None where neither has been built; it says so then. */
function containerds(): { version: string; program: string }[] {
  const built = places.flatMap((place) => globSync(join(lab, 'cache', place)));
  const programs =
    process.env['SEALIFT_CONTAINERD']?.split(':') ?? built.filter((one) => !one.includes('.tmp/'));
  if (programs.length === 0) console.warn('SKIPPED, no containerd of the lab or of kind');
  const versionOf = (program: string): string =>
    execFileSync(program, ['--version'], { encoding: 'utf8' }).split(' ')[2] ?? '';
  return programs.map((program) => ({ version: versionOf(program), program }));
}
