// SPDX-License-Identifier: Apache-2.0
// Whether a directory's files are in the node's memory.
import { statfs } from 'node:fs/promises';
import { unlessErrno } from '../../support/errors.ts';

/** linux/magic.h: tmpfs, ramfs */
const MAGIC: ReadonlySet<number | undefined> = new Set([0x01021994, 0x858458f6]);

/** @param dir as the agent sees it. One that is not there has none. */
export async function isInMemory(dir: string): Promise<boolean> {
  return MAGIC.has((await unlessErrno(statfs(dir), 'ENOENT'))?.type);
}
