// SPDX-License-Identifier: Apache-2.0
// Removes what deleted requests have left on this node. A journal entry outlives its request only until its pod is deleted
// too, so that the agent keeps refusing the `create` of a moved pod. The sweep touches nothing of a request unless the API
// server itself says that the request does not exist. It does not ask for those that the informers have.
import { rm, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { annotations } from '../../../crds/src/index.ts';
import {
  checkpointRequests,
  isNotFound,
  listParsed,
  migrationRequests,
  pods,
  realClock,
  restoreRequests,
  unlessNotFound,
  visit,
  withFaults,
  type Api,
  type Clock,
  type Logger,
} from '../../../kube/src/index.ts';
import type { Checkpointer } from '../node/dump/checkpointer.ts';
import { isCommitted } from '../support/committed.ts';
import { AgentError, isErrno, reasonOf } from '../support/errors.ts';
import { isOver, type Entry, type Journal } from '../support/journal/journal.ts';
import type { Gates } from '../callers/gates.ts';
import type { Restorer } from '../node/restore/restorer.ts';
import type { ImageStore } from '../node/transfer/image-store.ts';
import { isMade } from './target/journal-entry.ts';

const resources = {
  MigrationRequest: migrationRequests,
  RestoreRequest: restoreRequests,
  CheckpointRequest: checkpointRequests,
} as const;

/**
 * How long the sweep leaves a request alone that was deleted by force. It may have been committed just before, and the
 * kubelet may not have reported yet that its target runs. Longer than anything waits at a gate.
 */
const FORCED_DELETION_GRACE_MS = 180_000;
/** How long the sweep leaves images without an owner alone: their request may be about to appear. */
const IMAGES_GRACE_MS = 3_600_000;

const hasResumedPod = ({ stage }: Entry): boolean => stage === 'Resumed' || stage === 'Stored';

/** The fields of a request of any kind that say what it may have on a node. */
interface RequestFields {
  readonly metadata?: { readonly uid?: string };
  readonly status?:
    | {
        readonly checkpointId?: string | undefined;
        readonly nodeName?: string | undefined;
        readonly source?: { readonly nodeName?: string | undefined } | undefined;
        readonly target?: { readonly nodeName?: string | undefined } | undefined;
      }
    | undefined;
}

export interface OrphanSweepDependencies {
  api: Api;
  nodeName: string;
  journal: Journal;
  gates: Gates;
  checkpointer: Checkpointer;
  restorer: Pick<Restorer, 'killFrozen' | 'resumePod' | 'thawRestored'>;
  store: ImageStore;
  /** The requests that name this node, as the informers have them. */
  requests: () => readonly RequestFields[];
  /** Removes CRIU's logs of a request. */
  removeWork(id: string): Promise<void>;
  log: Logger;
  clock?: Clock;
}

export class OrphanSweep {
  readonly #deps: OrphanSweepDependencies;
  readonly #clock: Clock;
  /** Since when the sweep knows that a request, or the owner of images, does not exist; milliseconds since the epoch. */
  readonly #goneSince = new Map<string, number>();

  constructor(deps: OrphanSweepDependencies) {
    this.#deps = deps;
    this.#clock = deps.clock ?? realClock;
  }

  /** Looks at every journal entry and every image directory once. One that fails does not stop the others. */
  async sweep(): Promise<void> {
    for (const entry of this.#deps.journal.all()) {
      await this.#try(entry.id, () => this.#sweepEntry(entry));
    }
    await this.#try('images', () => this.#removeOrphanImages());
    await this.#try('exec', () =>
      this.#deps.checkpointer.allowOrphanedExec((podUid) => this.#isMoving(podUid)),
    );
  }

  /** Whether a request has the pod, makes it, or has moved it away. */
  #isMoving(podUid: string): boolean {
    return this.#deps.journal
      .all()
      .some(
        (one) => one.podUid === podUid && !(one.role === 'target' ? isOver : hasResumedPod)(one),
      );
  }

  async #try(request: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#deps.log.warn({ request, ...reasonOf(error) }, 'cannot remove an orphan');
    }
  }

  async #sweepEntry(entry: Entry): Promise<void> {
    const { journal, store, gates, log } = this.#deps;
    if (await this.#requestExists(entry)) {
      this.#goneSince.delete(entry.id);
      return;
    }
    if (entry.role === 'target') {
      // The request was committed just before. Its target is about to resume, or cannot.
      const isResuming = entry.decided === 'Committed' && !isOver(entry);
      if (isResuming && this.#goneFor(entry.id) < FORCED_DELETION_GRACE_MS) return;
      gates.refuseAll(
        entry.id,
        new AgentError('Aborted', `${entry.kind} ${entry.namespace}/${entry.name} was deleted.`),
      );
      if (!isOver(entry)) {
        // It runs, and a later request may have frozen it.
        if (journal.busyWith(entry.podUid, entry.id)) return;
        await this.#endTarget(entry);
      }
    } else if (!isOver(entry)) {
      if (!(await this.#endSource(entry))) return;
    }
    const now = journal.get(entry.id, entry.role);
    if (now?.role === 'source' && now.stage === 'Gone' && (await this.#podExists(now))) return;
    await withFaults('orphans.remove', async () => {
      await store.remove(entry.id);
      await this.#deps.removeWork(entry.id);
    });
    await journal.remove(entry.id, entry.role);
    this.#goneSince.delete(entry.id);
    log.info({ request: entry.id, role: entry.role }, 'orphan removed');
  }

  /**
   * Ends what a request that was deleted by force has begun with a pod. Without force its finalizer keeps a request until
   * both agents have reported how they ended. A deleted request cannot be committed, so the pod resumes, unless the
   * request was committed before. A target whose containers run, as its kubelet says, may be committed or stand frozen.
   * @returns false if the sweep must wait before it can tell
   */
  async #endSource(entry: Entry): Promise<boolean> {
    const { journal, checkpointer, log } = this.#deps;
    const fields = { request: entry.id, pod: entry.pod };
    const isCommitted = entry.stage === 'Stopping' || entry.decided === 'Committed';
    const target = await this.#committedTarget(entry);
    if (isCommitted || target === 'yes') {
      log.error(fields, 'a request that was deleted by force has moved this pod: stopping it');
      await journal.putIfPossible({ ...entry, stage: 'Stopping' });
      const failure = await checkpointer.stopPod(entry);
      if (failure)
        log.warn({ ...fields, failure }, 'peers of connections that have ended got no reset');
      await journal.put({ ...entry, stage: 'Gone' });
      return true;
    }
    if (entry.role === 'source' && this.#goneFor(entry.id) < FORCED_DELETION_GRACE_MS) {
      return false;
    }
    if (target === 'unknown') {
      log.error(
        fields,
        'a request was deleted by force, and nothing says whether its target is to run: the pod stays frozen until the pod of the target is deleted',
      );
      return false;
    }
    log.warn(fields, 'a request was deleted by force: resuming its pod');
    await checkpointer.resumePod(entry);
    return true;
  }

  /** A deleted request cannot be committed, so what stands frozen is killed. A committed target is the pod's only copy. */
  async #endTarget({ decided, containers, netns, resets = [] }: Entry): Promise<void> {
    const { restorer } = this.#deps;
    const made = containers.filter(isMade);
    if (decided !== 'Committed') {
      for (const one of made) await restorer.killFrozen(one);
      return;
    }
    const lost = { addresses: resets, containers: made };
    if (netns !== undefined) await restorer.resumePod(netns, [], lost);
    await restorer.thawRestored(made);
  }

  /** Removes images without a journal entry and without an owner: of a lost journal, or of a deleted checkpoint. */
  async #removeOrphanImages(): Promise<void> {
    const { journal, store, log } = this.#deps;
    const recorded = new Set(journal.all().map((entry) => entry.id));
    const known = new Set(this.#deps.requests().flatMap(idsOf));
    const ids = (await store.ids()).filter((id) => !recorded.has(id));
    const unknown = ids.filter((id) => !known.has(id));
    if (unknown.length === 0) return;
    const owned = await this.#ownedIds();
    for (const id of unknown) {
      if (owned.has(id)) this.#goneSince.delete(id);
      else if (this.#goneFor(id) >= IMAGES_GRACE_MS) {
        await store.remove(id);
        this.#goneSince.delete(id);
        log.info({ images: id }, 'orphan images removed');
      }
    }
  }

  /** UIDs and checkpoint ids of the requests that have, or may yet have, images on this node. */
  async #ownedIds(): Promise<Set<string>> {
    const ids = new Set<string>();
    for (const resource of Object.values(resources)) {
      const unparsed = { ...resource, parse: (item: unknown) => item as RequestFields };
      await visit(this.#deps.api, unparsed, {}, (fields) => {
        if (this.#mayBeHere(fields)) for (const id of idsOf(fields)) ids.add(id);
      });
    }
    return ids;
  }

  #mayBeHere({ status }: RequestFields): boolean {
    const all = [status?.nodeName, status?.source?.nodeName, status?.target?.nodeName];
    const nodes = all.filter((name) => name !== undefined);
    return nodes.length === 0 || nodes.includes(this.#deps.nodeName);
  }

  /** For how many milliseconds the sweep has known that it does not exist. */
  #goneFor(id: string): number {
    const now = this.#clock.now();
    const since = this.#goneSince.get(id) ?? now;
    this.#goneSince.set(id, since);
    return now - since;
  }

  /** @throws ApiError, ConnectionError if the API server does not answer the question itself */
  async #requestExists(entry: Entry): Promise<boolean> {
    const { api, requests } = this.#deps;
    if (requests().some(({ metadata }) => metadata?.uid === entry.id)) return true;
    const resource = resources[entry.kind];
    try {
      const found = await api.getRaw(resource, entry.namespace, entry.name);
      return (found as { metadata?: { uid?: string } }).metadata?.uid === entry.id;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      // A server that does not know the kind answers the same. A list of the kind tells the two apart.
      await api.list(resource, { namespace: entry.namespace, each: () => undefined });
      return false;
    }
  }

  async #podExists(entry: Entry): Promise<boolean> {
    const pod = await unlessNotFound(this.#deps.api.get(pods, entry.namespace, entry.pod));
    return pod?.metadata.uid === entry.podUid;
  }

  /** Whether the request was committed, by what the API server has of its target: the operator marks one (docs/adr/0013). */
  async #committedTarget(entry: Entry): Promise<'yes' | 'no' | 'unknown'> {
    if (entry.role !== 'source') return 'no';
    const [target] = await listParsed(
      this.#deps.api,
      pods,
      { namespace: entry.namespace },
      ({ metadata }) => metadata.annotations[annotations.requestUid] === entry.id,
    );
    if (!target) return 'no';
    if (isCommitted(target)) return 'yes';
    const { containerStatuses, initContainerStatuses } = target.status;
    const all = [...containerStatuses, ...initContainerStatuses];
    return all.some(({ state }) => state.running) ? 'unknown' : 'no';
  }
}

/** Names of the directories of images that a request may have. */
const idsOf = ({ metadata, status }: RequestFields): string[] =>
  [metadata?.uid, status?.checkpointId].filter((id) => id !== undefined);

/** Removes the directories of incomplete images that a crash has left. */
export async function removeIncoming(checkpointDir: string): Promise<void> {
  try {
    for (const name of await readdir(checkpointDir)) {
      if (name.startsWith('.incoming-')) await rm(join(checkpointDir, name), { recursive: true });
    }
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}
