// SPDX-License-Identifier: Apache-2.0
// What a loss of power must not undo.
import { open } from 'node:fs/promises';

/** Syncs a file, or a directory's list of entries, to the disk: Node.js opens and syncs a directory like a file. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
