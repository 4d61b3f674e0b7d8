// SPDX-License-Identifier: Apache-2.0
// Who answers what on the agent's socket.
import type { NodeOperations } from '../../node/operations.ts';
import { AgentError } from '../../support/errors.ts';
import type { Journal } from '../../support/journal/journal.ts';
import { CreateHandler } from '../create-handler.ts';
import type { RequestLookup, TargetRequest } from '../request-lookup.ts';
import { CniHandler } from '../cni-handler.ts';
import type { Gates } from '../gates.ts';
import { microTimestamp } from '../../support/step-times.ts';
import type { SocketHandlers } from './server.ts';

export function socketHandlers(parts: {
  node: NodeOperations;
  journal: Journal;
  gates: Gates;
  pods: RequestLookup;
  /** Times a target's preparation: from its first CNI call until it waits at the create gate. */
  recordPreparation(target: TargetRequest, atGate: boolean): Promise<void>;
}): SocketHandlers {
  const { node, journal, gates, pods } = parts;
  const { host, lock, driver, editor, restorer } = node;
  const create = new CreateHandler({
    journal,
    gates,
    editor,
    pods,
    waiting: async (target) => {
      await node.syncCniState();
      await parts.recordPreparation(target, true);
    },
    released: (uid, container) => restorer.isDetached(uid, container),
    release: (netns) => restorer.resumePod(netns),
  });
  const cni = new CniHandler({
    host,
    journal,
    lock,
    driver,
    pods,
    preparing: (target) => parts.recordPreparation(target, false),
  });
  // Nobody would ever answer what no move has begun, or one that is over and forgotten.
  const checkKnown = (token: string): void => {
    if (journal.get(token, 'target')) return;
    throw new AgentError('Aborted', `no move ${token} is under way on this node`);
  };
  return {
    create: (request, gone) => create.handle(request, gone),
    gate: async (request, gone) => {
      checkKnown(request.token);
      return gates.waitAtResumeGate(request, microTimestamp(), gone);
    },
    atGate: async (request, gone) => {
      checkKnown(request.token);
      return gates.waitForArrival(request, gone);
    },
    cni: (request) => cni.handle(request),
  };
}
