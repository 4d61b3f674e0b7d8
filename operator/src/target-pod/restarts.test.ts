// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { at, container, NOW, target } from '../../testing/objects.ts';
import { restartAfterResume } from './restarts.ts';

const ended = (seconds: number, exitCode = 1): { terminated: object } => ({
  terminated: { exitCode, finishedAt: at(seconds).replace('.000', '') },
});
const resumedAt = (seconds: number): { resumedAt: string } => ({
  resumedAt: new Date(NOW + seconds * 1000).toISOString(),
});

describe('what was moved', () => {
  it.each<[string, object, object, RegExp | undefined]>([
    ['runs', {}, { state: { running: {} } }, undefined],
    [
      'runs after a restore that was made twice',
      {},
      { restartCount: 1, state: { running: {} }, lastState: ended(8) },
      undefined,
    ],
    [
      'runs after a restore that never started',
      {},
      {
        restartCount: 1,
        state: { running: {} },
        lastState: { terminated: { exitCode: 128, reason: 'StartError', finishedAt: at(9) } },
      },
      undefined,
    ],
    [
      'was started afresh',
      {},
      { restartCount: 1, state: { running: {} }, lastState: ended(10, 139) },
      /^main ended with exit code 139 after it was resumed, and was started from nothing$/,
    ],
    [
      'was started afresh in spite of a clean end',
      { restartPolicy: 'Always' },
      { restartCount: 1, state: { running: {} }, lastState: ended(12, 0) },
      /^main ended with exit code 0/,
    ],
    [
      'waits for a fresh start',
      {},
      { state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: ended(11) },
      /was started from nothing$/,
    ],
    ['is about to be started afresh', {}, { state: ended(11) }, /is being started from nothing$/],
    ['has done its work', { restartPolicy: 'OnFailure' }, { state: ended(11, 0) }, undefined],
    [
      'has failed and is tried again',
      { restartPolicy: 'OnFailure' },
      { state: ended(11, 3) },
      /^main ended with exit code 3/,
    ],
    ['has failed for good', { restartPolicy: 'Never' }, { state: ended(11, 3) }, undefined],
  ])('%s', (_name, spec, status, wanted) => {
    const containerStatuses = [{ ...container({}), ...status }];
    const pod = target('request-uid', { spec: { ...spec }, status: { containerStatuses } });
    // Half a second after the second in which a container may have ended.
    const found = restartAfterResume(pod, resumedAt(10.5));
    if (wanted) expect(found).toMatch(wanted);
    else expect(found).toBeUndefined();
  });

  it('has sidecars, which are always started again', () => {
    const pod = target('request-uid', {
      spec: { restartPolicy: 'Never', initContainers: [{ name: 'side', restartPolicy: 'Always' }] },
      status: { initContainerStatuses: [{ name: 'side', state: ended(11, 0) }] },
    });
    expect(restartAfterResume(pod, resumedAt(10))).toMatch(/^side ended with exit code 0/);
  });

  it('is not judged before its agent has said when it was resumed', () => {
    const containerStatuses = [container({ running: {} }, { lastState: ended(11) })];
    const pod = target('request-uid', { status: { containerStatuses } });
    expect(restartAfterResume(pod, {})).toBeUndefined();
    expect(restartAfterResume(pod, undefined)).toBeUndefined();
  });
});
