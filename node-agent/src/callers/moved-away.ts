// SPDX-License-Identifier: Apache-2.0
// A pod that is being moved away, or has been, must not start on its old node: neither a container of it nor a sandbox
// with its addresses. The handlers of create and CNI calls ask before anything else; the journal knows.
import { AgentError } from '../support/errors.ts';
import type { Journal } from '../support/journal/journal.ts';

/**
 * Returns if the pod may start here: no request has begun to move it, or its move was undone.
 * @throws AgentError MovedAway
 */
export function refuseMovedAway(journal: Journal, podUid: string): void {
  const entry = journal
    .all()
    .find((one) => one.role === 'source' && one.podUid === podUid && one.stage !== 'Resumed');
  if (!entry) return;
  if (entry.stage === 'Lost') {
    throw new AgentError(
      'MovedAway',
      `The pod was lost, and MigrationRequest ${entry.namespace}/${entry.name} restores it from a checkpoint. ` +
        'It cannot be started here.',
    );
  }
  throw new AgentError(
    'MovedAway',
    `MigrationRequest ${entry.namespace}/${entry.name} moves the pod to another node. ` +
      'It cannot be started here.',
  );
}
