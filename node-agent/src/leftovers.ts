// SPDX-License-Identifier: Apache-2.0
// What requests that are gone have left on this node. A journal entry outlives its request only until its pod is
// gone too, so that `create` of a moved pod stays refused.
import { rm, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  checkpointRequests,
  isNotFound,
  migrationRequests,
  pods,
  restoreRequests,
  type Api,
  type Logger,
} from '../../kube/src/index.ts';
import type { Checkpointer } from './checkpoint/checkpointer.ts';
import { isErrno, reasonOf } from './errors.ts';
import type { Entry, Journal } from './journal/journal.ts';
import type { ImageStore } from './transfer/store.ts';

const ended: ReadonlySet<string> = new Set(['running', 'resumed', 'gone', 'tornDown', 'stored']);
const resources = {
  MigrationRequest: migrationRequests,
  RestoreRequest: restoreRequests,
  CheckpointRequest: checkpointRequests,
} as const;

export interface LeftoverParts {
  api: Api;
  journal: Journal;
  checkpointer: Checkpointer;
  store: ImageStore;
  removeWork(id: string): Promise<void>;
  log: Logger;
}

export class Leftovers {
  readonly #parts: LeftoverParts;

  constructor(parts: LeftoverParts) {
    this.#parts = parts;
  }

  /** One look at every entry. A failure of one does not keep the others from being looked at. */
  async sweep(): Promise<void> {
    for (const entry of this.#parts.journal.all()) {
      try {
        await this.#one(entry);
      } catch (error) {
        this.#parts.log.warn({ request: entry.id, ...reasonOf(error) }, 'leftover not removed');
      }
    }
  }

  async #one(entry: Entry): Promise<void> {
    const { api, journal, store, log } = this.#parts;
    if (await this.#requestExists(entry)) return;
    if (!ended.has(entry.stage) && entry.role !== 'target') {
      // Finalizers keep a request until both sides have told how they ended: someone has removed it by force.
      // Nobody can commit a request that is gone, so the pod goes on, unless its successor runs already.
      if (await this.#successorRuns(entry)) {
        log.error(
          { request: entry.id, pod: entry.pod },
          'a forcibly removed request had moved this pod',
        );
        return;
      }
      log.warn({ request: entry.id, pod: entry.pod }, 'request is gone, letting its pod go on');
      await this.#release(entry);
    }
    if (entry.role === 'source' && entry.stage === 'gone' && (await this.#podExists(entry))) return;
    if (entry.kind !== 'RestoreRequest') await store.remove(entry.id);
    await this.#parts.removeWork(entry.id);
    await journal.remove(entry.id, entry.role);
    log.info(
      { request: entry.id, role: entry.role, api: api.constructor.name },
      'leftover removed',
    );
  }

  async #release(entry: Entry): Promise<void> {
    const { checkpointer } = this.#parts;
    try {
      await checkpointer.release(await checkpointer.find(entry.podUid));
    } catch (error) {
      if (reasonOf(error).code !== 'PodNotFound') throw error;
    }
  }

  async #requestExists(entry: Entry): Promise<boolean> {
    try {
      const found = await this.#parts.api.getRaw(
        resources[entry.kind],
        entry.namespace,
        entry.name,
      );
      return (found as { metadata?: { uid?: string } }).metadata?.uid === entry.id;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  async #podExists(entry: Entry): Promise<boolean> {
    try {
      const pod = await this.#parts.api.get(pods, entry.namespace, entry.pod);
      return pod.metadata.uid === entry.podUid;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  async #successorRuns(entry: Entry): Promise<boolean> {
    const { items } = await this.#parts.api.list(pods, { namespace: entry.namespace });
    return items.some((item) => {
      const pod = pods.parse(item);
      const of = pod.metadata.annotations['sealift.dev/request-uid'];
      return of === entry.id && pod.status.phase === 'Running';
    });
  }
}

/** Removes folders of half-received images that a crash has left. */
export async function removeIncoming(checkpointDir: string): Promise<void> {
  try {
    for (const name of await readdir(checkpointDir)) {
      if (name.startsWith('.incoming-')) await rm(join(checkpointDir, name), { recursive: true });
    }
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}
