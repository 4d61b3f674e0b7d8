// SPDX-License-Identifier: Apache-2.0
// A pod that is being moved away, or has been, must not start on its old node: neither a container of it nor a sandbox
// with its addresses. Nor may one start while a checkpoint is taken of its pod: a container would run in the locked
// namespace, or unlock it. The handlers of create and CNI calls ask before anything else; the journal knows.
import { AgentError } from '../support/errors.ts';
import { isOver, type Journal } from '../support/journal/journal.ts';

/**
 * Returns if the pod may start here: no request has begun to move it or to take a checkpoint of it, or its pod was resumed.
 * @throws AgentError MovedAway, CheckpointUnderWay
 */
export function refuseMovedAway(journal: Journal, podUid: string): void {
  const entries = journal.all().filter((one) => one.podUid === podUid);
  const checkpoint = entries.find((one) => one.role === 'checkpoint' && !isOver(one));
  if (checkpoint) {
    throw new AgentError(
      'CheckpointUnderWay',
      `CheckpointRequest ${checkpoint.namespace}/${checkpoint.name} is taking a checkpoint of the pod. ` +
        'Its containers can be started when that has ended: the kubelet tries again.',
    );
  }
  const entry = entries.find((one) => one.role === 'source' && one.stage !== 'Resumed');
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
