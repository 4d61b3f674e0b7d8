// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { accepted, at, decision } from '../../testing/objects.ts';
import { isProgress } from './progress.ts';

const deadlines = { prepare: at(300), blackout: at(60) };
const agents = (source: string, target: string) => ({
  ...{ deadlines, sourceAgent: { state: source }, targetAgent: { state: target } },
});
const before = accepted(agents('Holding', 'AtCreateGate'));

describe('a change of a request', () => {
  it.each([
    ['the source dumps', agents('Dumping', 'AtCreateGate'), true],
    ['the target restores', agents('Sent', 'Restoring'), true],
    [
      'the decision is Committed',
      { ...agents('Sent', 'AtResumeGate'), decision: decision('Committed') },
      true,
    ],
    ['the source is gone', agents('Gone', 'Answering'), false],
    ['the target runs', agents('Gone', 'Running'), false],
    ['the source has failed', agents('Failed', 'AtCreateGate'), false],
    ['the target has failed', agents('Sent', 'Failed'), false],
    [
      'the decision is Aborted',
      { ...agents('Sent', 'Restoring'), decision: decision('Aborted') },
      false,
    ],
  ])('can wait when %s: %o', (_what, status, waits) => {
    expect(isProgress(accepted(status), before)).toBe(waits);
  });

  it('cannot wait when it is the decision on a pod that keeps its address', () => {
    const target = { nodeName: 'b', podName: 't', podIPs: [{ ip: '10.88.1.5' }] };
    const committed = {
      ...agents('Sent', 'AtResumeGate'),
      target,
      decision: decision('Committed'),
    };
    const undecided = accepted({ ...agents('Sent', 'AtResumeGate'), target });
    expect(isProgress(accepted(committed), undecided)).toBe(false);
    const later = accepted({ ...committed, targetAgent: { state: 'Answering' } });
    expect(isProgress(later, accepted(committed))).toBe(true);
  });

  it('cannot wait if it is the user’s', () => {
    const after = accepted(agents('Dumping', 'AtCreateGate'), { metadata: { generation: 2 } });
    expect(isProgress(after, before)).toBe(false);
    const deletionTimestamp = at(1);
    const deleted = accepted(agents('Dumping', 'AtCreateGate'), {
      metadata: { deletionTimestamp },
    });
    expect(isProgress(deleted, before)).toBe(false);
  });

  it('cannot wait before the blackout deadline is set, nor for a new request', () => {
    expect(isProgress(before, accepted({ targetAgent: { state: 'AtCreateGate' } }))).toBe(false);
    expect(isProgress(before, undefined)).toBe(false);
    expect(isProgress(undefined, before)).toBe(false);
  });
});
