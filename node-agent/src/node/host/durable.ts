// SPDX-License-Identifier: Apache-2.0
// What is to be found again after a loss of power.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { syncPath } from '../../support/durable.ts';
import { isErrno } from '../../support/errors.ts';
import type { Host } from './host.ts';

/**
 * What CNI and its plugins remember of sandboxes. libcni writes it without fsync (SaveConfig in pkg `libcni`): where
 * such a file is empty after a loss of power, the kubelet can neither remove that sandbox nor make another for its pod.
 */
const CNI_STATE = '/var/lib/cni';

/** Makes a folder durable with everything in it; what vanishes meanwhile needs no place on the disk. */
export function syncTree(folder: string): Promise<void> {
  return syncWith(folder, syncPath);
}

/** As syncTree, where the files themselves are durable already. */
export function syncFolders(folder: string): Promise<void> {
  return syncWith(folder, () => Promise.resolve());
}

async function syncWith(folder: string, syncFile: typeof syncPath): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await unlessGone(syncWith(path, syncFile));
    else if (entry.isFile()) await unlessGone(syncFile(path));
  }
  await syncPath(folder);
}

/** For a target that is about to wait for its images: after Committed its node may be the only one to restore it. */
export function keepSandboxes(host: Host): Promise<void> {
  return unlessGone(syncTree(host.path(CNI_STATE)));
}

async function unlessGone(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}
