// SPDX-License-Identifier: Apache-2.0
// The handler of the CRIU plugin's `gate`, which it sends when a container is restored and its tasks are stopped. The agent
// freezes them and answers at once: CRIU detaches, and nothing but the freezer keeps them (docs/adr/0021).
import { abortedError, AgentError } from '../support/errors.ts';
import type { Journal } from '../support/journal/journal.ts';
import type { GateRequest, PlainReply } from '../support/socket-protocol.ts';
import { microTimestamp } from '../support/step-times.ts';
import type { Restorer } from '../node/restore/restorer.ts';
import type { Gates } from './gates.ts';

export class GateHandler {
  readonly #parts: {
    journal: Journal;
    gates: Gates;
    restorer: Pick<Restorer, 'freezeRestored'>;
  };

  constructor(parts: {
    journal: Journal;
    gates: Gates;
    restorer: Pick<Restorer, 'freezeRestored'>;
  }) {
    this.#parts = parts;
  }

  /** @throws AgentError Aborted, RestoreFailed, RuntimeFailed: the plugin kills the tasks */
  async handle(request: GateRequest): Promise<PlainReply> {
    const at = microTimestamp();
    const id = this.#containerId(request);
    await this.#parts.restorer.freezeRestored({ id });
    // The tear-down may have been faster: it kills what is frozen, once.
    this.#containerId(request);
    this.#parts.gates.passResumeGate({ ...request, at });
    return { ok: true };
  }

  #containerId({ token, container }: GateRequest): string {
    const entry = this.#parts.journal.get(token, 'target');
    const id = entry?.containers.find(({ name }) => name === container)?.id;
    if (!entry || id === undefined) {
      throw new AgentError('Aborted', `No move with UID ${token} is under way on this node.`);
    }
    if (entry.decided === 'Aborted' || entry.stage === 'TornDown') throw abortedError();
    return id;
  }
}
