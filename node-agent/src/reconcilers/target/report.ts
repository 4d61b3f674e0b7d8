// SPDX-License-Identifier: Apache-2.0
// What a target's agent reports of a request: its part of the status, from the journal and the gates.
import type { TargetAgent, TargetState } from '../../../../crds/src/index.ts';
import type { Context } from '../../../../kube/src/index.ts';
import type { Gates } from '../../callers/gates.ts';
import type { Handover } from '../../callers/request-lookup.ts';
import type { CreateAtGate } from '../../support/gate-waiters.ts';
import type { Entry, Journal } from '../../support/journal/journal.ts';
import type { Publisher } from '../publisher.ts';
import type { TargetContainers } from './containers.ts';
import type { TargetStatus } from './decide.ts';

/**
 * It is there before any address has been given: so the source's agent knows that this one does so. The digest counts for
 * its own sandbox: the source's agent locks the pod when it reads it.
 * @param creates those at the create gate
 */
function fabricOf(
  request: Handover,
  entry: Entry | undefined,
  creates: readonly CreateAtGate[],
): TargetAgent['fabric'] {
  if (request.kind !== 'MigrationRequest') return undefined;
  const { fabric } = entry ?? {};
  const isPlaced = fabric && creates.every(({ sandboxId }) => sandboxId === fabric.sandboxId);
  return isPlaced ? { digest: fabric.digest } : {};
}

export class TargetReport<T extends Handover> {
  readonly #journal: Journal;
  readonly #publisher: Publisher<T>;
  readonly #containers: TargetContainers;
  readonly #gates: Gates;
  /** What the agent read from the restored pods, by request. A restarted agent finds it in the status. */
  readonly #identities = new Map<string, TargetAgent['identity']>();

  constructor(
    deps: { journal: Journal; publisher: Publisher<T>; gates: Gates },
    containers: TargetContainers,
  ) {
    this.#journal = deps.journal;
    this.#gates = deps.gates;
    this.#publisher = deps.publisher;
    this.#containers = containers;
  }

  /** Adds the identity of the restored pod to the report. */
  identify(uid: string, identity: TargetAgent['identity']): void {
    this.#identities.set(uid, identity);
  }

  /** Writes the agent's part of the status. @throws ApiError, ConnectionError */
  async write(request: T, status: TargetStatus, signal: AbortSignal): Promise<void> {
    await this.#publisher.write(request, this.#part(request, status), signal);
  }

  /** Reports a state without waiting for the write. */
  progress(request: T, state: TargetState, context: Context): void {
    this.#publisher.progress(request, this.#part(request, { state }), context);
  }

  /**
   * Reports a state that nobody waits for, if it lasts. Until the blackout has a deadline the operator waits for each: a
   * target whose images were there before it goes past its create gate without a stop.
   */
  async mention(request: T, { state }: TargetStatus, context: Context): Promise<void> {
    const part = this.#part(request, { state });
    if (request.status?.deadlines?.blackout === undefined) {
      return this.#publisher.write(request, part, context.signal);
    }
    await this.#publisher.mention(request, part, context);
  }

  /** The request is deleted. */
  forget(uid: string): void {
    this.#identities.delete(uid);
    this.#publisher.forget(uid);
  }

  #part(request: T, status: TargetStatus): TargetAgent {
    const { uid } = request.metadata;
    const reported = request.status?.targetAgent;
    const entry = this.#journal.get(uid, 'target');
    const containers = this.#containers.statuses(uid, entry, status.state);
    const part: Partial<TargetAgent> = {
      steps: entry?.steps.length ? entry.steps : reported?.steps,
      resumedAt: entry?.resumedAt ?? reported?.resumedAt,
      identity: this.#identities.get(uid) ?? reported?.identity,
      gids: entry?.gids ?? reported?.gids,
      fabric: fabricOf(request, entry, this.#gates.listAtCreateGate(uid)) ?? reported?.fabric,
      peerDeadline: entry?.peerDeadline ?? reported?.peerDeadline,
      containers: containers.length > 0 ? containers : reported?.containers,
    };
    return { ...part, ...status };
  }
}
