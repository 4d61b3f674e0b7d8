// SPDX-License-Identifier: Apache-2.0
// What others have written on the node and Sealift counts on after a loss of power.
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../errors.ts';
import type { Host } from './host.ts';

/**
 * What CNI and its plugins remember of sandboxes. libcni writes it without fsync (SaveConfig in pkg `libcni`): where
 * such a file is empty after a loss of power, the kubelet can neither remove that sandbox nor make another for its pod.
 */
const CNI_STATE = '/var/lib/cni';

/** Puts a path on the disk, and all that lies beneath it; what has vanished meanwhile needs no place there. */
async function syncPath(path: string): Promise<void> {
  try {
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}

export async function syncTree(folder: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  });
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else if (entry.isFile()) await syncPath(path);
  }
  await syncPath(folder);
}

/** For a target that is about to wait for its images: after Committed its node may be the only one to restore it. */
export function keepSandboxes(host: Host): Promise<void> {
  return syncTree(host.path(CNI_STATE));
}
