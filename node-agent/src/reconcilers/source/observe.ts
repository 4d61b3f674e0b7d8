// SPDX-License-Identifier: Apache-2.0
// What a source's agent observes: the request, its journal entry and what the agent keeps in memory. Only reads.
import type { Fabric, MigrationRequest } from '../../../../crds/src/index.ts';
import type { Api, Clock } from '../../../../kube/src/index.ts';
import type { Checkpointer } from '../../node/dump/checkpointer.ts';
import type { PodInspector } from '../../node/dump/pod-inspector.ts';
import type { Diagnostics } from '../../node/diagnostics/diagnostics.ts';
import type { FabricAddresses } from '../../node/fabric-addresses/fabric-addresses.ts';
import type { PodIp } from '../../node/pod-ip/pod-ip.ts';
import type { ProbeAnswers } from '../../node/probes/probe-answers.ts';
import { isTargetAnswering } from '../handover-waits.ts';
import type { Journal } from '../../support/journal/journal.ts';
import type { RequestLookup } from '../../callers/request-lookup.ts';
import type { Publisher } from '../publisher.ts';
import type { Wakes } from '../wakes.ts';
import type { sendImages } from '../../node/transfer/sender.ts';
import type { ImageStore } from '../../node/transfer/image-store.ts';
import type { WarmConnections } from '../../node/transfer/warm-connections.ts';
import type { SourceObserved } from './decide.ts';
import { connectionsOf, isReplaced, limitOf, stageWithoutEntry } from './journal-entry.ts';
import type { VolatileState } from './volatile-state.ts';
import { blackoutDeadline, type LocalDeadlines } from '../local-deadlines.ts';

export interface SourceDependencies {
  api: Api;
  nodeName: string;
  journal: Journal;
  checkpointer: Checkpointer;
  inspector?: Pick<PodInspector, 'inspect'> | undefined;
  pods: RequestLookup;
  publisher: Publisher<MigrationRequest>;
  store: ImageStore;
  certificateDir: string;
  send: typeof sendImages;
  connections?: Pick<WarmConnections, 'prepare'> | undefined;
  request(key: string): MigrationRequest | undefined;
  diagnostics?: Diagnostics | undefined;
  probes?: ProbeAnswers | undefined;
  podIp?: Pick<PodIp, 'reserve' | 'look'> | undefined;
  fabricAddresses?: Pick<FabricAddresses, 'givenTo' | 'reserve'> | undefined;
  /** Removes CRIU's logs of a request. */
  removeWork(id: string): Promise<void>;
  /** Tells of changes of requests. Absent: those who wait for one look often. */
  wakes?: Wakes | undefined;
  clock?: Clock;
}

/**
 * Whether the target has yet to be given these addresses of its source.
 * @param fabric undefined: not read yet
 */
export function addressesOf(
  { status }: MigrationRequest,
  fabric: Fabric | undefined,
): SourceObserved['addresses'] {
  const placed = status?.targetAgent?.fabric;
  // An agent of an earlier version gives it those of its networks only. Whoever uses others is refused.
  if (placed === undefined) return undefined;
  return fabric !== undefined && placed.digest === fabric.digest ? undefined : 'due';
}

export interface Observed extends SourceObserved {
  request: MigrationRequest;
}

export class SourceObserver {
  readonly #deps: SourceDependencies;
  readonly #volatile: VolatileState;
  readonly #deadlines: LocalDeadlines;

  constructor(deps: SourceDependencies, volatile: VolatileState, deadlines: LocalDeadlines) {
    this.#deps = deps;
    this.#volatile = volatile;
    this.#deadlines = deadlines;
  }

  #addresses(request: MigrationRequest): SourceObserved['addresses'] {
    const { fabric } = this.#volatile.get(request.metadata.uid);
    return addressesOf(request, fabric ?? request.status?.sourceAgent?.fabric);
  }

  #dryRun({ metadata, spec, status }: MigrationRequest): SourceObserved['dryRun'] {
    if (!spec.dryRun) return undefined;
    const { inspection = status?.sourceAgent?.inspection } = this.#volatile.get(metadata.uid);
    return inspection ? 'inspected' : 'open';
  }

  async observe(key: string): Promise<Observed | undefined> {
    const request = this.#deps.request(key);
    if (request?.status?.source?.nodeName !== this.#deps.nodeName) return undefined;
    const { status, metadata } = request;
    const entry = this.#deps.journal.get(metadata.uid, 'source');
    // A restarted agent has no header to send. It dumps again: the pod is frozen and has not changed.
    const mustDump = entry?.stage === 'Transferring' && !this.#volatile.get(metadata.uid).header;
    return {
      request,
      dryRun: this.#dryRun(request),
      decision: status.decision?.outcome,
      stage: mustDump ? 'Dumping' : (entry?.stage ?? stageWithoutEntry(status.sourceAgent?.state)),
      targetState: status.targetAgent?.state,
      addresses: this.#addresses(request),
      connections: connectionsOf(request),
      targetAnswers: isTargetAnswering(request),
      deadline: blackoutDeadline(this.#deadlines, request, entry),
      limit: limitOf(request, entry),
      isReplaced: isReplaced(request),
      failure:
        entry?.reason === undefined
          ? this.#volatile.refusal(metadata.uid)
          : { code: entry.reason, message: entry.message ?? '' },
    };
  }
}
