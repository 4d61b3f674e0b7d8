// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { countLines, countVitest, resultOf } from './lanes.ts';

describe('a lane', () => {
  it('sums the lines of its parts and keeps why something was skipped', () => {
    const output =
      'shim: 12 passed, 1 failed\nnoise 3 passed\nskipped: no /dev/kvm\n4 passed, 0 failed\n';
    expect(countLines(output)).toEqual({
      passed: 16,
      failed: 1,
      skipped: ['no /dev/kvm'],
      failures: [],
    });
  });

  it('fails when it runs nothing', () => {
    const nothing = countLines('skipped: no compiler\n');
    expect(resultOf({ counts: 'lines' }, 0, nothing)).toMatchObject({ passed: 0, failed: 1 });
  });

  it('may run nothing if it is allowed to, says why, and its command succeeds', () => {
    const lane = { counts: 'lines', optional: true } as const;
    const skipped = countLines('skipped: no debug kernel\n');
    expect(resultOf(lane, 0, skipped)).toMatchObject({ passed: 0, failed: 0 });
    expect(resultOf(lane, 1, skipped)).toMatchObject({ failed: 1 });
    expect(resultOf(lane, 0, countLines(''))).toMatchObject({ failed: 1 });
  });

  it('fails when its command does, whatever it counted', () => {
    const counted = countLines('5 passed, 0 failed');
    expect(resultOf({ counts: 'lines' }, 2, counted)).toMatchObject({ passed: 5, failed: 1 });
    expect(resultOf({ counts: 'status' }, 1, counted)).toMatchObject({ passed: 0, failed: 1 });
    expect(resultOf({ counts: 'status' }, 0, counted)).toMatchObject({ passed: 1, failed: 0 });
  });

  it('counts a test file that does not load', () => {
    const report = {
      numPassedTests: 3,
      numFailedTests: 0,
      numPendingTests: 0,
      testResults: [
        { status: 'passed', assertionResults: [1, 2, 3] },
        { status: 'failed', assertionResults: [] },
      ],
    };
    expect(countVitest(JSON.stringify(report))).toMatchObject({
      passed: 3,
      failed: 1,
      skipped: [],
    });
  });

  it('names what failed, and what was thrown outside of any test', () => {
    expect(countLines('ok - a\nnot ok - b\nFAILED move: late\n').failures).toEqual([
      'b',
      'move: late',
    ]);
    const report = {
      numPassedTests: 1,
      numFailedTests: 1,
      numPendingTests: 0,
      testResults: [
        {
          status: 'failed',
          assertionResults: [
            { status: 'passed', fullName: 'a watch starts' },
            { status: 'failed', fullName: 'a watch ends', failureMessages: ['Error: late\n at'] },
          ],
        },
      ],
    };
    const output =
      '⎯⎯⎯⎯ Unhandled Rejection ⎯⎯⎯⎯\nClientDestroyedError: The client is destroyed\n ❯ a\n';
    expect(countVitest(JSON.stringify(report), output).failures).toEqual([
      'a watch ends: Error: late',
      'outside of a test: ClientDestroyedError: The client is destroyed',
    ]);
  });
});
