// SPDX-License-Identifier: Apache-2.0
// The steps by which a pod gets to a node that has the memory for it. The model has none of them: nothing has been done to the
// source yet, and its one node has room.
import type { Row } from './row.ts';

export const memory: readonly Row<'MigrationRequest'>[] = [
  {
    step: 'Where the nodes say how much memory they have: before it creates the target, the operator waits for what the source’s agent says of the pod.',
    by: 'operator',
    given: { memory: 'not known yet', targetPod: 'absent' },
    condition: ['TargetReady', 'Unknown', 'Waiting'],
    phase: 'Preparing',
    faults: ['operator.status'],
  },
  {
    step: 'It leaves out nodes that lack the memory, or names others, and records in status.target.memory how much the pod gets; then it creates the target.',
    by: 'operator',
    given: { source: 'Waiting', memory: 'enough', targetPod: 'absent' },
    condition: ['TargetReady', 'Unknown', 'Waiting'],
    phase: 'Preparing',
    faults: ['operator.status'],
  },
  {
    step: 'No node has the memory: the operator ends the request, and nothing was created.',
    by: 'operator',
    effect: 'ProposeAbort',
    given: { source: 'Waiting', memory: 'lacking', targetPod: 'absent' },
    condition: ['Succeeded', 'Unknown', 'NotEnoughMemory'],
    phase: 'RollingBack',
    faults: ['operator.abort'],
  },
  {
    step: 'The target’s node has too little memory for the pod by now: its agent says so, in place of AtCreateGate, and the operator tries another node.',
    by: 'target agent',
    stage: 'Preparing',
    state: 'Preparing',
    observed: {
      create: 'waiting',
      lacking: { podUid: 'target-uid', reason: 'NotEnoughMemory', message: 'Too little.' },
    },
    condition: ['TargetReady', 'Unknown', 'TargetPodCreated'],
    phase: 'Preparing',
    faults: ['agent.status'],
    undoneBy: 'DeleteTarget',
  },
  {
    step: 'The operator has read that: it records the node in status.triedNodes and deletes the pod.',
    by: 'operator',
    effect: 'DeleteTarget',
    given: { target: 'Preparing', targetRefuses: true },
    condition: ['TargetReady', 'Unknown', 'NotEnoughMemory'],
    phase: 'Preparing',
    faults: ['operator.delete-target'],
  },
  {
    step: 'Where there is no other node, the pod waits for the memory at its create gate. At the prepare deadline the operator ends the request.',
    by: 'operator',
    given: { target: 'Preparing', targetRefuses: true, noOtherNode: true },
    condition: ['TargetReady', 'Unknown', 'NotEnoughMemory'],
    phase: 'Preparing',
    faults: ['operator.status'],
  },
];
