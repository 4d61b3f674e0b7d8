// SPDX-License-Identifier: Apache-2.0
// What requests that are gone have left on this node. A journal entry outlives its request only until its pod is
// gone too, so that `create` of a moved pod stays refused. Nothing is touched of a request of which the API
// server has not said itself that it is gone.
import { rm, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  checkpointRequests,
  isNotFound,
  migrationRequests,
  pods,
  realClock,
  restoreRequests,
  withFaults,
  type Api,
  type Clock,
  type Logger,
} from '../../../kube/src/index.ts';
import type { Checkpointer } from '../node/dump/checkpointer.ts';
import { AgentError, isErrno, reasonOf } from '../support/errors.ts';
import { isOver, type Entry, type Journal } from '../support/journal/journal.ts';
import type { Gates } from '../callers/gates.ts';
import type { ImageStore } from '../node/transfer/image-store.ts';

const resources = {
  MigrationRequest: migrationRequests,
  RestoreRequest: restoreRequests,
  CheckpointRequest: checkpointRequests,
} as const;

/**
 * A request that was removed by force may have been committed the moment before: its target then runs although
 * the kubelet has not told yet. Longer than anything waits at a gate.
 */
const FORCED_GRACE_MS = 180_000;
/** Images of nobody may be those of a request that is just coming. */
const ORPHAN_MS = 3_600_000;

export interface OrphanSweepDependencies {
  api: Api;
  nodeName: string;
  journal: Journal;
  gates: Gates;
  checkpointer: Checkpointer;
  store: ImageStore;
  removeWork(id: string): Promise<void>;
  log: Logger;
  clock?: Clock;
}

interface Owner {
  metadata?: { uid?: string };
  status?: {
    checkpointId?: string;
    nodeName?: string;
    source?: { nodeName?: string };
    target?: { nodeName?: string };
  };
}

export class OrphanSweep {
  readonly #deps: OrphanSweepDependencies;
  readonly #clock: Clock;
  /** Since when a request, or the owner of images, is known to be gone. */
  readonly #gone = new Map<string, number>();

  constructor(deps: OrphanSweepDependencies) {
    this.#deps = deps;
    this.#clock = deps.clock ?? realClock;
  }

  /** One look at everything. A failure of one does not keep the others from being looked at. */
  async sweep(): Promise<void> {
    for (const entry of this.#deps.journal.all()) {
      await this.#try(entry.id, () => this.#one(entry));
    }
    await this.#try('images', () => this.#orphans());
  }

  async #try(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#deps.log.warn({ request: what, ...reasonOf(error) }, 'leftover not removed');
    }
  }

  async #one(entry: Entry): Promise<void> {
    const { journal, store, gates, log } = this.#deps;
    if (await this.#requestExists(entry)) {
      this.#gone.delete(entry.id);
      return;
    }
    if (entry.role === 'target') {
      // Committed the moment before: it is just being handed over to, or was and cannot go on.
      const isComing = entry.decided === 'Committed' && !isOver(entry);
      if (isComing && this.#goneFor(entry.id) < FORCED_GRACE_MS) return;
      gates.refuseAll(entry.id, new AgentError('Aborted', `${entry.kind} ${entry.name} is gone`));
    } else if (!isOver(entry)) {
      if (!(await this.#settle(entry))) return;
    }
    const now = journal.get(entry.id, entry.role);
    if (now?.role === 'source' && now.stage === 'Gone' && (await this.#podExists(now))) return;
    await withFaults('orphans.remove', async () => {
      await store.remove(entry.id);
      await this.#deps.removeWork(entry.id);
    });
    await journal.remove(entry.id, entry.role);
    this.#gone.delete(entry.id);
    log.info({ request: entry.id, role: entry.role }, 'leftover removed');
  }

  /**
   * Finalizers keep a request until both sides have told how they ended: someone has removed it by force. Nobody
   * can commit a request that is gone, so the pod goes on, unless its successor runs.
   * @returns whether the pod is settled now
   */
  async #settle(entry: Entry): Promise<boolean> {
    const { journal, checkpointer, log } = this.#deps;
    const about = { request: entry.id, pod: entry.pod };
    const isCommitted = entry.stage === 'Stopping' || entry.decided === 'Committed';
    if (isCommitted || (await this.#successorRuns(entry))) {
      log.error(about, 'a request that was removed by force had moved this pod: ending it');
      await journal.put({ ...entry, stage: 'Stopping' });
      await checkpointer.stopPod(entry);
      await journal.put({ ...entry, stage: 'Gone' });
      return true;
    }
    if (entry.role === 'source' && this.#goneFor(entry.id) < FORCED_GRACE_MS) return false;
    log.warn(about, 'request is gone, letting its pod go on');
    await checkpointer.resumePod(entry);
    return true;
  }

  /** Images without an entry and without an owner: a lost journal's, or those of a removed checkpoint. */
  async #orphans(): Promise<void> {
    const { journal, store, log } = this.#deps;
    const known = new Set(journal.all().map((entry) => entry.id));
    const ids = (await store.ids()).filter((id) => !known.has(id));
    if (ids.length === 0) return;
    const owned = await this.#owned();
    for (const id of ids) {
      if (owned.has(id)) this.#gone.delete(id);
      else if (this.#goneFor(id) >= ORPHAN_MS) {
        await store.remove(id);
        this.#gone.delete(id);
        log.info({ images: id }, 'images of nobody removed');
      }
    }
  }

  /** Requests that have, or may yet have, something on this node. */
  async #owned(): Promise<Set<string>> {
    const ids = new Set<string>();
    for (const resource of Object.values(resources)) {
      for (const item of (await this.#deps.api.list(resource)).items) {
        const { metadata, status } = item as Owner;
        const places = [status?.nodeName, status?.source?.nodeName, status?.target?.nodeName];
        const named = places.filter((name) => name !== undefined);
        if (named.length > 0 && !named.includes(this.#deps.nodeName)) continue;
        if (metadata?.uid !== undefined) ids.add(metadata.uid);
        if (status?.checkpointId !== undefined) ids.add(status.checkpointId);
      }
    }
    return ids;
  }

  #goneFor(id: string): number {
    const now = this.#clock.now();
    const since = this.#gone.get(id) ?? now;
    this.#gone.set(id, since);
    return now - since;
  }

  /** @throws ApiError, ConnectionError if the API server does not say so itself. */
  async #requestExists(entry: Entry): Promise<boolean> {
    const { api } = this.#deps;
    const resource = resources[entry.kind];
    try {
      const found = await api.getRaw(resource, entry.namespace, entry.name);
      return (found as { metadata?: { uid?: string } }).metadata?.uid === entry.id;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      // Also what a server says that does not know the kind (any more): a list of it tells the two apart.
      await api.list(resource, { namespace: entry.namespace });
      return false;
    }
  }

  async #podExists(entry: Entry): Promise<boolean> {
    try {
      const pod = await this.#deps.api.get(pods, entry.namespace, entry.pod);
      return pod.metadata.uid === entry.podUid;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  async #successorRuns(entry: Entry): Promise<boolean> {
    if (entry.role !== 'source') return false;
    const { items } = await this.#deps.api.list(pods, { namespace: entry.namespace });
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
