// SPDX-License-Identifier: Apache-2.0
// What a target's agent sees of a request, its journal, its gates and its images. Only reads.
import { isFinished, secondsOfStep } from '../../../../crds/src/index.ts';
import type { Api, Clock, Resource } from '../../../../kube/src/index.ts';
import { AgentError, reasonOf, type Failure } from '../../support/errors.ts';
import type { Diagnostics } from '../../node/diagnostics/diagnostics.ts';
import { isSourceSilent } from '../handover-waits.ts';
import type { Entry, Journal } from '../../support/journal/journal.ts';
import { stepLimit, type Limit } from '../step-limits.ts';
import type { Handover, HandoverKind } from '../../callers/request-lookup.ts';
import type { Publisher } from '../publisher.ts';
import type { Restorer } from '../../node/restore/restorer.ts';
import type { ImageStore } from '../../node/transfer/image-store.ts';
import type { TargetContainers } from './containers.ts';
import type { TargetObserved } from './decide.ts';
import { peerLimitOf } from './journal-entry.ts';
import type { Gates } from '../../callers/gates.ts';
import type { ContainerStates } from './container-states.ts';

export interface TargetDependencies<T extends Handover> {
  api: Api;
  kind: HandoverKind;
  resource: Resource<T>;
  nodeName: string;
  journal: Journal;
  gates: Gates;
  restorer: Restorer;
  store: ImageStore;
  publisher: Publisher<T>;
  request(key: string): T | undefined;
  /** Folder of the request's images. */
  imageId(request: T): string;
  receiving(imageId: string): boolean;
  diagnostics?: Diagnostics | undefined;
  removeWork(id: string): Promise<void>;
  clock?: Clock;
}

export interface Observed<T> extends TargetObserved {
  request: T;
  imageId: string;
}

export class TargetObserver<T extends Handover> {
  readonly #deps: TargetDependencies<T>;
  readonly #containers: TargetContainers;

  constructor(deps: TargetDependencies<T>, containers: TargetContainers) {
    this.#deps = deps;
    this.#containers = containers;
  }

  async observe(key: string): Promise<Observed<T> | undefined> {
    const request = this.#deps.request(key);
    const place = request?.status?.target;
    if (!request || place?.nodeName !== this.#deps.nodeName) return undefined;
    const uid = request.metadata.uid;
    const entry = this.#deps.journal.get(uid, 'target');
    const imageId = this.#deps.imageId(request);
    const deadline = request.status?.deadlines?.blackout;
    const { images, failure } = await this.#images(imageId);
    const places = await this.#containers.look(entry);
    return {
      request,
      imageId,
      decision: request.status?.decision?.outcome ?? entry?.decided,
      stage: entry?.stage,
      create: this.#containers.created(uid, entry),
      images,
      kept: this.keeps(request),
      atResumeGate: this.#containers.atResumeGate(uid, places),
      failure: this.#failure(entry, places) ?? failure,
      detached: places.detached(),
      unrestorable: places.isUnrestorable(),
      deadline: deadline === undefined ? undefined : Date.parse(deadline),
      limit: restoreLimitOf(request, entry),
      peersHaveRetryLimit:
        request.kind === 'MigrationRequest' && request.status?.peers !== undefined,
      peerBudgetMs: request.status?.sourceAgent?.peerBudgetMs,
      peerLimit: peerLimitOf(entry),
      sourceAnswers: !isSourceSilent(request),
      finished: isFinished(request),
    };
  }

  /** A manifest that cannot be read is a finding, not something to try until it can. */
  async #images(imageId: string): Promise<Pick<TargetObserved, 'images' | 'failure'>> {
    if (this.#deps.receiving(imageId)) return { images: 'receiving', failure: undefined };
    try {
      const kept = await this.#deps.store.manifest(imageId);
      return { images: kept ? 'whole' : 'absent', failure: undefined };
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      return { images: 'absent', failure: reasonOf(error) };
    }
  }

  /** Images of a checkpoint that this node keeps belong to the CheckpointRequest. */
  keeps(request: T): boolean {
    return request.status?.source?.nodeName === this.#deps.nodeName;
  }

  /** Found by this agent or an earlier one. */
  #failure(entry: Entry | undefined, places: ContainerStates): Failure | undefined {
    if (entry?.reason !== undefined) return { code: entry.reason, message: entry.message ?? '' };
    const failure = entry && places.failure();
    return (
      failure && {
        ...failure,
        message: withDiagnosticsPath(this.#deps.diagnostics, failure.message, entry),
      }
    );
  }
}

export function restoreLimitOf(request: Handover, entry: Entry | undefined): Limit | undefined {
  return stepLimit(entry?.steps, 'restore', secondsOfStep(request.spec.timeouts, 'restore'));
}

/** A message with the place of what was kept for whoever looks into it. */
export function withDiagnosticsPath(
  diagnostics: Diagnostics | undefined,
  message: string,
  entry: Entry,
): string {
  return diagnostics?.pointTo(message, entry) ?? message;
}
