// SPDX-License-Identifier: Apache-2.0
// Syncs directories of files to the disk, so that a loss of power does not undo them. The image store, the installer and the
// socket's handlers call it.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { syncPath } from '../../support/durable.ts';
import { unlessErrno } from '../../support/errors.ts';
import type { Host } from './host.ts';

/**
 * CNI's records of sandboxes: libcni's cached results and the allocations of host-local. libcni writes them without
 * fsync (libcni/api.go). If such a file is empty after a loss of power, the kubelet can neither remove the sandbox nor
 * make another one for its pod.
 */
const CNI_STATE = '/var/lib/cni';

/** Syncs a directory with all files and directories in it. Skips what vanishes meanwhile. @throws ENOENT, ENOTDIR */
export async function syncTree(directory: string): Promise<void> {
  const entries = await readdir(directory, { withFileTypes: true });
  // Some at the same time: the file system writes what several wait for in one go. Each has a thread of the four that all of
  // this process's files share, the journal's too.
  const left = entries.values();
  const some = async (): Promise<void> => {
    for (const entry of left) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) await unlessGone(syncTree(path));
      else if (entry.isFile()) await unlessGone(syncPath(path));
    }
  };
  await Promise.all([some(), some()]);
  await syncPath(directory);
}

/** Called before a target waits at its create gate: after Committed its node may be the only one that can restore it. */
export function syncCniState(host: Host): Promise<void> {
  return unlessGone(syncTree(host.path(CNI_STATE)));
}

/** More sandboxes than a kubelet has. */
const MAX_REMEMBERED = 1000;

/** Syncs CNI's records once for each sandbox: they do not change when its next container is created. */
export class CniStateSync {
  readonly #sync: () => Promise<void>;
  /** Oldest first. */
  readonly #synced = new Map<string, Promise<void>>();

  constructor(sync: () => Promise<void>) {
    this.#sync = sync;
  }

  async forSandbox(sandboxId: string): Promise<void> {
    const begun = this.#synced.get(sandboxId);
    if (begun) return begun;
    const work = this.#sync();
    this.#synced.set(sandboxId, work);
    const [oldest] = this.#synced.keys();
    if (this.#synced.size > MAX_REMEMBERED && oldest !== undefined) this.#synced.delete(oldest);
    try {
      await work;
    } catch (error) {
      this.#synced.delete(sandboxId);
      throw error;
    }
  }
}

const unlessGone = (work: Promise<void>): Promise<void> => unlessErrno(work, 'ENOENT');
