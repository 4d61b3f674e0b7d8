// SPDX-License-Identifier: Apache-2.0
// Which changes of a request are only an agent's progress in the blackout. The operator looks at them a moment later, at
// several of them once: each look costs the API server four requests, of which the agents' would have to wait. Pure.
import {
  isFinished,
  type MigrationRequest,
  type RestoreRequest,
  type SourceState,
  type TargetState,
} from '../../../crds/src/index.ts';

type Handover = MigrationRequest | RestoreRequest;

/** How long the operator lets progress wait. People see phases and conditions that much later. */
export const PROGRESS_MS = 500;

/** On their way from the blackout deadline to the end. The operator acts on every other state. */
const sourceProgress: ReadonlySet<SourceState | undefined> = new Set([
  ...([undefined, 'Waiting', 'Holding', 'Dumping', 'Transferring', 'Sent'] as const),
]);
const targetProgress: ReadonlySet<TargetState | undefined> = new Set([
  ...(['AtCreateGate', 'Receiving', 'Restoring', 'AtResumeGate', 'Answering'] as const),
]);

/**
 * Whether the operator has nothing to do at once: the agents are at work, with a blackout deadline, and nothing of the
 * user has changed. Neither a decision nor a deadline of the agents waits for the operator (docs/adr/0002).
 */
export function isProgress(after: Handover | undefined, before: Handover | undefined): boolean {
  if (!after || !before || isFinished(after)) return false;
  const isOfUser =
    after.metadata.generation !== before.metadata.generation ||
    after.metadata.deletionTimestamp !== before.metadata.deletionTimestamp;
  // All other nodes route an address that the pod keeps by what the operator says of the decision.
  const isAwaited =
    after.status?.target?.podIPs !== undefined && isDecided(after) !== isDecided(before);
  return !isOfUser && !isAwaited && isHandingOver(after) && isHandingOver(before);
}

const isDecided = ({ status }: Handover): boolean => status?.decision !== undefined;

function isHandingOver({ status }: Handover): boolean {
  if (status?.deadlines?.blackout === undefined) return false;
  if (status.decision?.outcome === 'Aborted') return false;
  return (
    sourceProgress.has(status.sourceAgent?.state) && targetProgress.has(status.targetAgent?.state)
  );
}
