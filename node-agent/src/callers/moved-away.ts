// SPDX-License-Identifier: Apache-2.0
// A pod that is being moved away, or has been, must not be started by its old node's kubelet: neither its
// container nor a sandbox with its addresses.
import { AgentError } from '../support/errors.ts';
import type { Journal } from '../support/journal/journal.ts';

/** @throws AgentError MovedAway */
export function refuseMovedAway(journal: Journal, podUid: string): void {
  const entry = journal
    .all()
    .find((one) => one.role === 'source' && one.podUid === podUid && one.stage !== 'Resumed');
  if (!entry) return;
  if (entry.stage === 'Lost') {
    throw new AgentError(
      'MovedAway',
      `MigrationRequest ${entry.namespace}/${entry.name} makes this pod, which was lost, anew from a checkpoint; ` +
        'it cannot be started here',
    );
  }
  throw new AgentError(
    'MovedAway',
    `MigrationRequest ${entry.namespace}/${entry.name} moves this pod to another node; ` +
      'it cannot be started here',
  );
}
