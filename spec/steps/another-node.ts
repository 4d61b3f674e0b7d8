// SPDX-License-Identifier: Apache-2.0
// The steps of a request whose target's node has no room for it. A migration and a restore take the same ones. The model has
// none of them: nothing has been done to the source yet.
import type { Row } from './row.ts';

export const anotherNode: readonly (Row<'MigrationRequest'> & Row<'RestoreRequest'>)[] = [
  {
    step: 'None of its nodes can take the pod, and another one can: the operator records them in status.triedNodes and deletes the pod.',
    by: 'operator',
    effect: 'DeleteTarget',
    given: { targetPod: 'unschedulable' },
    condition: ['TargetReady', 'Unknown', 'TargetUnschedulable'],
    phase: 'Preparing',
    faults: ['operator.delete-target'],
  },
  {
    step: 'The operator has recorded the node, and the pod is still there: the operator deletes it.',
    by: 'operator',
    effect: 'DeleteTarget',
    given: { targetNode: 'given up', targetPod: 'unschedulable' },
    condition: ['TargetReady', 'Unknown', 'TargetPodCreated'],
    phase: 'Preparing',
    faults: ['operator.delete-target'],
  },
  {
    step: 'The pod is gone: the operator names the next nodes in status.target.',
    by: 'operator',
    given: { targetNode: 'given up', targetPod: 'absent' },
    condition: ['TargetReady', 'Unknown', 'Waiting'],
    phase: 'Preparing',
    faults: ['operator.status'],
  },
  {
    step: 'The operator creates the pod for those nodes, under the same name.',
    by: 'operator',
    effect: 'CreateTarget',
    given: { targetNode: 'next', targetPod: 'absent' },
    condition: ['TargetReady', 'Unknown', 'Waiting'],
    phase: 'Preparing',
    faults: ['operator.status', 'operator.create-target'],
    undoneBy: 'DeleteTarget',
  },
];
