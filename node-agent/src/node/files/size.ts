// SPDX-License-Identifier: Apache-2.0
// How large the files below a directory are. Only a dry run asks; a dump learns it from tar.
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { unlessErrno } from '../../support/errors.ts';

/** Counting more would load the node's disk for an estimate. */
const MAX_FILES = 100_000;

/** Bytes of the regular files; undefined if there are more than 100,000 files. */
export async function sizeBelow(
  directories: readonly string[],
  most = MAX_FILES,
): Promise<number | undefined> {
  const waiting = [...directories];
  let [bytes, seen] = [0, 0];
  for (let directory = waiting.pop(); directory !== undefined; directory = waiting.pop()) {
    for (const entry of await entriesOf(directory)) {
      if (++seen > most) return undefined;
      const path = join(directory, entry.name);
      if (entry.isDirectory()) waiting.push(path);
      else if (entry.isFile()) bytes += (await unlessGone(lstat(path)))?.size ?? 0;
    }
  }
  return bytes;
}

const entriesOf = async (directory: string) =>
  (await unlessGone(readdir(directory, { withFileTypes: true }))) ?? [];

const unlessGone = <T>(work: Promise<T>): Promise<T | undefined> =>
  unlessErrno(work, 'ENOENT', 'ENOTDIR');
