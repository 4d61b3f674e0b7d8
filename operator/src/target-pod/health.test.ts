// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { Pod } from '../../../kube/src/index.ts';
import { at, target } from '../../testing/objects.ts';
import { targetProblem, unplacedGraceMs, unplacedSince } from './health.ts';

const waiting = (
  reason?: string,
  status: object = {},
  metadata: Record<string, unknown> = {},
): Pod => {
  const scheduled = { type: 'PodScheduled', status: 'False', reason, message: 'why' };
  const conditions = reason === undefined ? [] : [{ ...scheduled, lastTransitionTime: at(-3600) }];
  return target('request-uid', {
    metadata,
    spec: { nodeName: '' },
    status: { phase: 'Pending', conditions, containerStatuses: [], ...status },
  });
};

describe('a target that gets no node', () => {
  it.each<[string, Pod, number, string | undefined, number | undefined]>([
    ['is full at once', waiting('Unschedulable'), 14_999, undefined, 1],
    ['is full', waiting('Unschedulable'), 15_000, 'TargetUnschedulable', undefined],
    ['is gated', waiting('SchedulingGated'), 59_999, undefined, 1],
    ['stays gated', waiting('SchedulingGated'), 60_000, 'TargetUnschedulable', undefined],
    [
      'has a scheduler that fails',
      waiting('SchedulerError'),
      60_000,
      'TargetUnschedulable',
      undefined,
    ],
    ['has a scheduler that does not run', waiting(), 60_000, 'TargetUnschedulable', undefined],
    [
      'is nominated',
      waiting('Unschedulable', { nominatedNodeName: 'b' }),
      600_000,
      undefined,
      undefined,
    ],
    ['has failed', waiting(undefined, { phase: 'Failed' }), 0, 'TargetFailed', undefined],
    [
      'is deleted',
      waiting(undefined, {}, { deletionTimestamp: at(0) }),
      0,
      'TargetGone',
      undefined,
    ],
    ['has a node', target('request-uid'), 600_000, undefined, undefined],
  ])('%s', (_what, pod, ms, reason, recheckMs) => {
    const problem = targetProblem(pod, ms, false);
    expect([problem.refusal?.reason, problem.recheckMs]).toEqual([reason, recheckMs]);
    if (reason === 'TargetUnschedulable') expect(problem.isOfNode).toBe(true);
  });

  it('says what the scheduler said, or that none said anything', () => {
    const text = (pod: Pod): unknown => targetProblem(pod, unplacedGraceMs, false).refusal?.message;
    expect(text(waiting('SchedulingGated'))).toMatch(/within 60 s \(SchedulingGated: why\)/);
    expect(text(waiting())).toMatch(/within 60 s \(no scheduler has said anything of it/);
  });

  it('counts anew when the scheduler begins to say that there is no room', () => {
    expect(unplacedSince(waiting())).toBe(unplacedSince(waiting('SchedulingGated')));
    expect(unplacedSince(waiting())).not.toBe(unplacedSince(waiting('Unschedulable')));
    expect(unplacedSince(waiting('Unschedulable', { nominatedNodeName: 'b' }))).toBeUndefined();
    expect(unplacedSince(target('request-uid'))).toBeUndefined();
  });
});
