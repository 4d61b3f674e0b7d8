// SPDX-License-Identifier: Apache-2.0
// The steps of a MigrationRequest with spec.dryRun. None of them changes anything but the request's status.
import type { Row } from './row.ts';

export const dryRun: readonly Row<'MigrationRequest'>[] = [
  {
    step: 'The operator lists what it would refuse, and lets the agent of the pod’s node look at the pod.',
    by: 'operator',
    given: { request: 'new', dryRun: true, targetPod: 'absent' },
    condition: ['Succeeded', 'Unknown', 'Inspecting'],
    phase: 'Inspecting',
    faults: ['operator.status'],
  },
  {
    step: 'The source’s agent lists everything that would make the move fail, and how much would be moved.',
    by: 'source agent',
    effect: 'ListFindings',
    found: 'none',
    state: 'Inspected',
    given: { dryRun: true, targetPod: 'absent' },
    observed: { dryRun: 'open' },
    condition: ['Succeeded', 'True', 'Movable'],
    phase: 'Succeeded',
    faults: ['agent.status'],
  },
];
