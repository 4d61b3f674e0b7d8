// SPDX-License-Identifier: Apache-2.0
// For tests of the repository as a whole: its files.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

export const root = join(import.meta.dirname, '..');
/** What was installed or built. */
export const skipped: ReadonlySet<string> = new Set(['node_modules', 'build', '.git']);

/** Every file below a directory, by its path from the repository's root. */
export function filesIn(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (skipped.has(entry.name)) return [];
    const path = join(directory, entry.name);
    return entry.isDirectory() ? filesIn(path) : [relative(root, path)];
  });
}

export const read = (path: string): string => readFileSync(join(root, path), 'utf8');
