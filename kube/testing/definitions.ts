// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Manifest } from './api-server.ts';

const folder = join(import.meta.dirname, '..', '..', 'crds');

/** The generated CustomResourceDefinitions, as they lie on disk. */
export function files(): Manifest[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => parse(readFileSync(join(folder, name), 'utf8')) as Manifest);
}
