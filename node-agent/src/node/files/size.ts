// SPDX-License-Identifier: Apache-2.0
// How large the files below a directory are. A dry run asks, and a move whose bandwidth is limited; a dump learns it from tar.
import type { Stats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { unlessErrno } from '../../support/errors.ts';

/** Counting more would load the node's disk for an estimate. */
const MAX_FILES = 100_000;
/** stat(2): st_blocks. */
const BLOCK_BYTES = 512;

/** Bytes of the regular files, as an archive has them; undefined if there are more than 100,000 files. */
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
      else if (entry.isFile()) bytes += packedSize(await unlessGone(lstat(path)));
    }
  }
  return bytes;
}

/** The archive has no holes of a file. */
const packedSize = (file: Stats | undefined): number =>
  file ? Math.min(file.size, file.blocks * BLOCK_BYTES) : 0;

const entriesOf = async (directory: string) =>
  (await unlessGone(readdir(directory, { withFileTypes: true }))) ?? [];

const unlessGone = <T>(work: Promise<T>): Promise<T | undefined> =>
  unlessErrno(work, 'ENOENT', 'ENOTDIR');
