// SPDX-License-Identifier: Apache-2.0
// The generated CustomResourceDefinitions, for tests that install them in an API server.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

/** An object as a manifest has it. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string } & Record<
    string,
    unknown
  >;
  readonly [field: string]: unknown;
}

const directory = join(import.meta.dirname, '..', '..', 'crds');

/** The generated CustomResourceDefinitions, read from the disk. */
export function files(): Manifest[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => parse(readFileSync(join(directory, name), 'utf8')) as Manifest);
}
