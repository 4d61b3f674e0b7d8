// SPDX-License-Identifier: Apache-2.0
// The handler of the CRIU plugin's `gate`, which it sends when a container is restored and its tasks are stopped. The agent
// freezes them and answers at once: CRIU detaches, and nothing but the freezer keeps them (docs/adr/0021).
import { abortedError, AgentError } from '../support/errors.ts';
import type { Journal } from '../support/journal/journal.ts';
import type { GateRequest, PlainReply } from '../support/socket-protocol.ts';
import { microTimestamp } from '../support/step-times.ts';
import type { StartWatches } from '../node/restore/start-watches.ts';
import type { Restorer } from '../node/restore/restorer.ts';
import type { Gates } from './gates.ts';

export interface GateParts {
  journal: Journal;
  gates: Gates;
  restorer: Pick<Restorer, 'freezeRestored'>;
  /** Absent: the target's reconciler looks for the start itself. */
  starts?: Pick<StartWatches, 'follow'> | undefined;
}

export class GateHandler {
  readonly #parts: GateParts;

  constructor(parts: GateParts) {
    this.#parts = parts;
  }

  /** @throws AgentError Aborted, RestoreFailed, RuntimeFailed: the plugin kills the tasks */
  async handle(request: GateRequest): Promise<PlainReply> {
    const at = microTimestamp();
    const { id, bundle } = this.#container(request);
    const { starts, gates } = this.#parts;
    if (bundle !== undefined) starts?.follow({ id, bundle }, () => gates.started(request.token));
    await this.#parts.restorer.freezeRestored({ id });
    // The tear-down may have been faster: it kills what is frozen, once.
    this.#container(request);
    gates.passResumeGate({ ...request, at });
    return { ok: true };
  }

  #container({ token, container }: GateRequest): { id: string; bundle: string | undefined } {
    const entry = this.#parts.journal.get(token, 'target');
    const { id, bundle } = entry?.containers.find(({ name }) => name === container) ?? {};
    if (!entry || id === undefined) {
      throw new AgentError('Aborted', `No move with UID ${token} is under way on this node.`);
    }
    if (entry.decided === 'Aborted' || entry.stage === 'TornDown') throw abortedError();
    return { id, bundle };
  }
}
