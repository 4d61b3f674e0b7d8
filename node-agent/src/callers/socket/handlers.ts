// SPDX-License-Identifier: Apache-2.0
// Who answers what on the agent's socket.
import type { NodeOperations } from '../../node/operations.ts';
import { AgentError } from '../../support/errors.ts';
import type { Journal } from '../../support/journal/journal.ts';
import { CreateHandler } from '../create.ts';
import type { PodRequests, TargetOf } from '../pod-requests.ts';
import { CniHandler } from '../cni.ts';
import type { Gates } from '../gates.ts';
import { microTimestamp } from '../../support/step-times.ts';
import type { SocketHandlers } from './server.ts';

export function socketHandlers(parts: {
  node: NodeOperations;
  journal: Journal;
  gates: Gates;
  pods: PodRequests;
  /** Times a target's preparation: from its first CNI call until it waits at the create gate. */
  recordPreparation(target: TargetOf, atGate: boolean): Promise<void>;
}): SocketHandlers {
  const { node, journal, gates, pods } = parts;
  const { host, lock, driver, editor, restorer } = node;
  const create = new CreateHandler({
    journal,
    gates,
    editor,
    pods,
    waiting: async (target) => {
      await node.keepSandboxes();
      await parts.recordPreparation(target, true);
    },
    released: (uid, container) => restorer.released(uid, container),
    release: (netns) => restorer.release(netns),
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
      return gates.waitResume(request, microTimestamp(), gone);
    },
    atGate: async (request, gone) => {
      checkKnown(request.token);
      return gates.waitRestored(request, gone);
    },
    cni: (request) => cni.handle(request),
  };
}
