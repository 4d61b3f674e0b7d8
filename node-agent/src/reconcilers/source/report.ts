// SPDX-License-Identifier: Apache-2.0
// What a source's agent reports of a request: its part of the status, from the journal and its memory.
import type { MigrationRequest, SourceAgent, SourceState } from '../../../../crds/src/index.ts';
import type { Context } from '../../../../kube/src/index.ts';
import type { Journal } from '../../support/journal/journal.ts';
import type { Publisher } from '../publisher.ts';
import type { SourceStatus } from './decide.ts';
import type { VolatileState } from './volatile-state.ts';

type Read = Pick<
  SourceAgent,
  'bytes' | 'objects' | 'identity' | 'fabric' | 'memory' | 'lostConnections'
>;

/** What the agent has read of the pod; a restarted one has it from the status. */
const measured = (found: Read, reported: Read | undefined): Partial<SourceAgent> => ({
  bytes: found.bytes ?? reported?.bytes,
  objects: found.objects ?? reported?.objects,
  identity: found.identity ?? reported?.identity,
  fabric: found.fabric ?? reported?.fabric,
  memory: found.memory ?? reported?.memory,
  lostConnections: found.lostConnections ?? reported?.lostConnections,
});

/** The operator may have tried a node before that did not keep the addresses. */
const keptField = ({ status }: MigrationRequest): { lostConnections?: undefined } =>
  status?.target?.podIPs ? { lostConnections: undefined } : {};

export class SourceReport {
  readonly #journal: Journal;
  readonly #publisher: Publisher<MigrationRequest>;
  readonly #volatile: VolatileState;

  constructor(
    deps: { journal: Journal; publisher: Publisher<MigrationRequest> },
    volatile: VolatileState,
  ) {
    this.#journal = deps.journal;
    this.#publisher = deps.publisher;
    this.#volatile = volatile;
  }

  /** Writes the agent's part of the status. @throws ApiError, ConnectionError */
  async write(request: MigrationRequest, status: SourceStatus, signal: AbortSignal): Promise<void> {
    await this.#publisher.write(request, this.#part(request, status), signal);
  }

  /** Reports a state without waiting for the write. */
  progress(request: MigrationRequest, state: SourceState, context: Context): void {
    this.#publisher.progress(request, this.#part(request, { state }), context);
  }

  /** Reports a state that nobody waits for, if it lasts. */
  async mention(
    request: MigrationRequest,
    { state }: SourceStatus,
    context: Context,
  ): Promise<void> {
    await this.#publisher.mention(request, this.#part(request, { state }), context);
  }

  /** The request is deleted. */
  forget(uid: string): void {
    this.#publisher.forget(uid);
  }

  #part(request: MigrationRequest, status: SourceStatus): SourceAgent {
    const { uid } = request.metadata;
    const entry = this.#journal.get(uid, 'source');
    const found = this.#volatile.get(uid);
    const reported = request.status?.sourceAgent;
    const part: Partial<SourceAgent> = {
      steps: entry?.steps.length ? entry.steps : reported?.steps,
      inspection: found.inspection ?? reported?.inspection,
      ...measured(found, reported),
      ...keptField(request),
      bytesPerSecond: found.bytesPerSecond ?? reported?.bytesPerSecond,
      checkpointDigest: found.checkpointDigest ?? reported?.checkpointDigest,
      naks: entry?.naks ?? reported?.naks,
      peerDeadline: entry?.peerDeadline ?? reported?.peerDeadline,
      peerBudgetMs: found.peerBudgetMs ?? reported?.peerBudgetMs,
    };
    return { ...part, ...status };
  }
}
