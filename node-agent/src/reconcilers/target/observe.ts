// SPDX-License-Identifier: Apache-2.0
// What a target's agent observes: the request, its journal entry, its gates and its images. Only reads.
import { isFinished, secondsOfStep, timeoutsOf } from '../../../../crds/src/index.ts';
import {
  ConnectionError,
  isNotFound,
  type Api,
  type Clock,
  type Resource,
} from '../../../../kube/src/index.ts';
import { AgentError, reasonOf, type Failure } from '../../support/errors.ts';
import type { Diagnostics } from '../../node/diagnostics/diagnostics.ts';
import { withDiagnosticsPath } from '../diagnostics-path.ts';
import { withRemedy } from '../remedy.ts';
import { isSourceStopped } from '../handover-waits.ts';
import { targetStage, type Entry, type Journal } from '../../support/journal/journal.ts';
import { stepLimit, type Limit } from '../step-limits.ts';
import type { Handover, HandoverKind } from '../../callers/request-lookup.ts';
import type { Publisher } from '../publisher.ts';
import type { Wakes } from '../wakes.ts';
import type { Restorer } from '../../node/restore/restorer.ts';
import type { ImageStore } from '../../node/transfer/image-store.ts';
import type { TargetContainers } from './containers.ts';
import type { TargetObserved } from './decide.ts';
import { peerLimitOf } from './journal-entry.ts';
import { diskRefusal } from '../disk-room.ts';
import { blackoutDeadline, type LocalDeadlines } from '../local-deadlines.ts';
import type { Gates } from '../../callers/gates.ts';
import type { ContainerStates } from './container-states.ts';
import { memoryRefusal, neededBy, type MemoryParts } from './memory-look.ts';

export interface TargetDependencies<T extends Handover> extends MemoryParts {
  api: Api;
  kind: HandoverKind;
  resource: Resource<T>;
  journal: Journal;
  gates: Gates;
  restorer: Restorer;
  store: ImageStore;
  publisher: Publisher<T>;
  request(key: string): T | undefined;
  /** Id of the request's images, which is their directory in the image store. */
  imageId(request: T): string;
  /** Whether these images are arriving from another agent. */
  receiving(imageId: string): boolean;
  diagnostics?: Diagnostics | undefined;
  /** Removes CRIU's logs of a request. */
  removeWork(id: string): Promise<void>;
  /** Tells of changes of requests. Absent: those who wait for one look often. */
  wakes?: Wakes | undefined;
  clock?: Clock;
}

export interface Observed<T> extends TargetObserved {
  request: T;
  imageId: string;
}

export class TargetObserver<T extends Handover> {
  readonly #deps: TargetDependencies<T>;
  readonly #containers: TargetContainers;
  readonly #deadlines: LocalDeadlines;

  constructor(
    deps: TargetDependencies<T>,
    containers: TargetContainers,
    deadlines: LocalDeadlines,
  ) {
    this.#deps = deps;
    this.#containers = containers;
    this.#deadlines = deadlines;
  }

  async observe(key: string): Promise<Observed<T> | undefined> {
    const request = this.#deps.request(key);
    if (request?.status?.target?.nodeName !== this.#deps.nodeName) return undefined;
    const uid = request.metadata.uid;
    const entry = this.#deps.journal.get(uid, 'target');
    const imageId = this.#deps.imageId(request);
    const { images, failure } = await this.#images(request, imageId);
    const states = await this.#containers.read(entry);
    const decision = request.status.decision?.outcome ?? entry?.decided;
    return {
      request,
      imageId,
      decision,
      stage: targetStage(entry, request.status.targetAgent?.state),
      create: this.#containers.atCreateGate(uid, entry),
      images,
      addresses: this.#addresses(request, entry),
      lacking: await this.#lacking(request, entry),
      imagesAreCheckpoint: this.areImagesCheckpoint(request),
      atResumeGate: states.atResumeGate(),
      passing: this.#containers.isPassing(uid),
      failure: this.#failure(entry, states, decision) ?? failure,
      deadline: blackoutDeadline(this.#deadlines, request, entry),
      limit: restoreLimitOf(request, entry),
      peersHaveRetryLimit:
        request.kind === 'MigrationRequest' && request.status.peers !== undefined,
      peerBudgetMs: request.status.sourceAgent?.peerBudgetMs,
      peerLimit: peerLimitOf(entry),
      sourceAnswers: !isSourceStopped(request),
      finished: isFinished(request),
    };
  }

  /** The node looks only as long as another one may be tried. */
  async #lacking(request: T, entry: Entry | undefined): Promise<TargetObserved['lacking']> {
    const { decision, deadlines } = request.status ?? {};
    const isBegun = entry !== undefined && entry.stage !== 'Preparing';
    if (decision || deadlines?.blackout !== undefined || isBegun) return undefined;
    const [create] = this.#deps.gates.listAtCreateGate(request.metadata.uid);
    if (!create) return undefined;
    const { podUid } = create;
    const memory = await memoryRefusal(request, this.#deps);
    if (memory !== undefined) return { podUid, reason: 'NotEnoughMemory', message: memory };
    const { store, nodeName } = this.#deps;
    const bytes = neededBy(request)?.imageBytes;
    const disk = bytes === undefined ? undefined : await diskRefusal(store, nodeName, bytes);
    if (disk === undefined) return undefined;
    return {
      podUid,
      reason: 'DiskFull',
      message: `${disk} Free space there, or name another node.`,
    };
  }

  #addresses({ kind, metadata, status }: T, entry: Entry | undefined): TargetObserved['addresses'] {
    const digest = kind === 'MigrationRequest' ? status?.sourceAgent?.fabric?.digest : undefined;
    const [create] = this.#deps.gates.listAtCreateGate(metadata.uid);
    if (digest === undefined || !create) return undefined;
    const { fabric } = entry ?? {};
    return fabric?.digest === digest && fabric.sandboxId === create.sandboxId ? undefined : 'due';
  }

  /**
   * Only the agent of the source's node can send images (docs/adr/0015). Those of a migration count only once that agent has
   * reported their digest to the API server; those of a checkpoint are verified before the restore. A manifest that the
   * agent cannot read fails the request: another attempt would read the same.
   */
  async #images(request: T, imageId: string): Promise<Pick<TargetObserved, 'images' | 'failure'>> {
    if (this.#deps.receiving(imageId)) return { images: 'receiving', failure: undefined };
    try {
      const stored = await this.#deps.store.manifest(imageId);
      if (!stored) return { images: 'absent', failure: undefined };
      if (request.kind !== 'MigrationRequest') return { images: 'complete', failure: undefined };
      const reported = await this.#reportedDigest(request, stored.digest);
      if (reported === undefined) return { images: 'receiving', failure: undefined };
      if (reported === stored.digest) return { images: 'complete', failure: undefined };
      throw new AgentError(
        'ImageCorrupt',
        `The images on this node have digest ${stored.digest}, but the source's agent has reported ${reported}. ` +
          "Find out who uses the certificate of the source's node.",
      );
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      return { images: 'absent', failure: withRemedy(request.kind, reasonOf(error)) };
    }
  }

  /** The source's agent reports it before the images are whole. The watch may be behind: then the API server is asked. */
  async #reportedDigest(request: T, stored: string): Promise<string | undefined> {
    const watched = request.status?.sourceAgent?.checkpointDigest;
    if (watched === stored) return watched;
    const { namespace = '', name, uid } = request.metadata;
    const { api, resource } = this.#deps;
    try {
      const now = await api.get(resource, namespace, name);
      return now.metadata.uid === uid ? now.status?.sourceAgent?.checkpointDigest : undefined;
    } catch (error) {
      if (isNotFound(error) || error instanceof ConnectionError) return undefined;
      throw error;
    }
  }

  /** Whether the images are a checkpoint that this node stores. They belong to the CheckpointRequest. */
  areImagesCheckpoint(request: T): boolean {
    return request.status?.source?.nodeName === this.#deps.nodeName;
  }

  /** A failure that this agent or an earlier one has found. */
  #failure(
    entry: Entry | undefined,
    states: ContainerStates,
    decision: TargetObserved['decision'],
  ): Failure | undefined {
    if (entry?.reason !== undefined) return { code: entry.reason, message: entry.message ?? '' };
    const failure = states.failure() ?? (decision ? undefined : states.thawed());
    if (!entry || !failure) return undefined;
    const { code, message } = withRemedy(entry.kind, failure);
    return { code, message: withDiagnosticsPath(this.#deps.diagnostics, message, entry) };
  }
}

/** The limit of the step `restore`, once it has begun. */
export function restoreLimitOf(request: Handover, entry: Entry | undefined): Limit | undefined {
  return stepLimit(entry?.steps, 'restore', secondsOfStep(timeoutsOf(request), 'restore'));
}
