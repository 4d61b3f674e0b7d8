// SPDX-License-Identifier: Apache-2.0
// What a source's agent sees of a request, its journal and what it has found out. Only reads.
import type { MigrationRequest } from '../../../../crds/src/index.ts';
import type { Api, Clock } from '../../../../kube/src/index.ts';
import type { Checkpointer } from '../../node/dump/checkpointer.ts';
import type { Diagnostics } from '../../node/diagnostics/diagnostics.ts';
import { isTargetAnswering } from '../handover-waits.ts';
import type { Journal } from '../../support/journal/journal.ts';
import type { RequestLookup } from '../../callers/request-lookup.ts';
import type { Publisher } from '../publisher.ts';
import type { sendImages } from '../../node/transfer/sender.ts';
import type { ImageStore } from '../../node/transfer/image-store.ts';
import type { SourceObserved } from './decide.ts';
import { isForgotten, isReplaced, limitOf } from './journal-entry.ts';
import type { Findings } from './findings.ts';

export interface SourceDependencies {
  api: Api;
  nodeName: string;
  journal: Journal;
  checkpointer: Checkpointer;
  pods: RequestLookup;
  publisher: Publisher<MigrationRequest>;
  store: ImageStore;
  certificateDir: string;
  send: typeof sendImages;
  request(key: string): MigrationRequest | undefined;
  diagnostics?: Diagnostics | undefined;
  /** Removes what CRIU logged for a request. */
  removeWork(id: string): Promise<void>;
  clock?: Clock;
}

export interface Observed extends SourceObserved {
  request: MigrationRequest;
}

export class SourceObserver {
  readonly #deps: SourceDependencies;
  readonly #facts: Findings;

  constructor(deps: SourceDependencies, facts: Findings) {
    this.#deps = deps;
    this.#facts = facts;
  }

  async observe(key: string): Promise<Observed | undefined> {
    const request = this.#deps.request(key);
    if (request?.status?.source?.nodeName !== this.#deps.nodeName) return undefined;
    const { status, metadata } = request;
    const entry = this.#deps.journal.get(metadata.uid, 'source');
    const deadline = status.deadlines?.blackout;
    // The images' description was in memory: dump again, the pod is frozen and has not changed.
    const lost = entry?.stage === 'Transferring' && !this.#facts.get(metadata.uid).header;
    return {
      request,
      decision: status.decision?.outcome,
      stage: lost ? 'Dumping' : (entry?.stage ?? isForgotten(status.sourceAgent?.state)),
      targetState: status.targetAgent?.state,
      targetAnswers: isTargetAnswering(request),
      deadline: deadline === undefined ? undefined : Date.parse(deadline),
      limit: limitOf(request, entry),
      replaced: isReplaced(request),
      failure:
        entry?.reason === undefined
          ? this.#facts.refused(metadata.uid)
          : { code: entry.reason, message: entry.message ?? '' },
    };
  }
}
