// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { annotations } from './names.ts';
import {
  peerBudgetMs,
  peersOf,
  refuseShortRetryBudget,
  rnrTimerMicroseconds,
  type Peers,
} from './peers.ts';

const of = (retry?: string, timer?: string) =>
  peersOf({
    ...(retry === undefined ? {} : { [annotations.peerRnrRetry]: retry }),
    ...(timer === undefined ? {} : { [annotations.rnrTimer]: timer }),
  });

describe('what a pod’s annotations say of its peers', () => {
  it.each<[string, string | undefined, string | undefined, Peers]>([
    ['nothing: no limit', undefined, undefined, { rnrRetry: 7, rnrTimer: 20 }],
    ['no limit', '7', undefined, { rnrRetry: 7, rnrTimer: 20 }],
    ['no limit, with a timer', '7', '3', { rnrRetry: 7, rnrTimer: 3 }],
    ['only a timer', undefined, '31', { rnrRetry: 7, rnrTimer: 31 }],
    [
      'six: the longest timer',
      '6',
      undefined,
      { rnrRetry: 6, rnrTimer: 0, retryBudgetMs: 3932.16 },
    ],
    ['once', '1', undefined, { rnrRetry: 1, rnrTimer: 0, retryBudgetMs: 655.36 }],
    ['with a timer', '3', '31', { rnrRetry: 3, rnrTimer: 31, retryBudgetMs: 1474.56 }],
    ['with a short one', '5', '1', { rnrRetry: 5, rnrTimer: 1, retryBudgetMs: 0.05 }],
  ])('%s', (_name, retry, timer, peers) => {
    expect(of(retry, timer)).toEqual(peers);
  });

  it.each([
    ['0', undefined, annotations.peerRnrRetry],
    ['8', undefined, annotations.peerRnrRetry],
    ['', undefined, annotations.peerRnrRetry],
    ['seven', undefined, annotations.peerRnrRetry],
    ['-1', undefined, annotations.peerRnrRetry],
    ['1.5', undefined, annotations.peerRnrRetry],
    ['3', '32', annotations.rnrTimer],
    [undefined, '-1', annotations.rnrTimer],
    [undefined, '0x1', annotations.rnrTimer],
  ])('is refused: %s and %s', (retry, timer, named) => {
    const refusal = of(retry, timer);
    expect(refusal).toMatchObject({ reason: 'BadAnnotation' });
    expect('message' in refusal && refusal.message).toContain(named);
  });

  it('has a timer for each code, and none is longer than that of code 0', () => {
    expect(rnrTimerMicroseconds).toHaveLength(32);
    expect(Math.max(...rnrTimerMicroseconds)).toBe(rnrTimerMicroseconds[0]);
    const rest = rnrTimerMicroseconds.slice(1);
    expect(rest).toEqual(rest.toSorted((a, b) => a - b));
  });
});

describe('the retry budget of peers', () => {
  const peers = (retryBudgetMs?: number): Peers => ({
    ...{ rnrRetry: 2, rnrTimer: 0 },
    ...(retryBudgetMs === undefined ? {} : { retryBudgetMs }),
  });

  it('is limited less the margin', () => {
    expect(peerBudgetMs(peers(3000), {})).toBe(2200);
    expect(peerBudgetMs(peers(3000), { peerMarginMs: 100 })).toBe(2900);
    expect(peerBudgetMs(peers(), {})).toBeUndefined();
  });

  it.each<[string, number | undefined, number | undefined, boolean]>([
    ['none', undefined, undefined, false],
    ['just enough', 1200, undefined, false],
    ['just too little', 1199.9, undefined, true],
    ['enough with a smaller margin', 600, 200, false],
    ['too little with a greater margin', 2000, 1700, true],
  ])('is refused or not: %s', (_name, budget, peerMarginMs, refused) => {
    expect(refuseShortRetryBudget(peers(budget), { peerMarginMs }) !== undefined).toBe(refused);
  });

  it.each([
    ['as much as may be moved in time', 2 ** 31, false],
    ['more', 2 ** 31 + 2 ** 22, true],
    ['unknown', 0, false],
  ])('is refused or not for memory: %s', (_name, bytes, refused) => {
    const refusal = refuseShortRetryBudget(peers(2200), {}, bytes);
    expect(refusal !== undefined).toBe(refused);
    if (refused) expect(refusal?.message).toContain('2201 ms, of which 800 ms');
  });

  it('is refused for memory that the policy’s bandwidth lets through too slowly', () => {
    const slow = { bytesPerSecond: 2 ** 20, text: '1Mi/s, as MigrationPolicy slow allows' };
    const of = (budget: number) => refuseShortRetryBudget(peers(budget), {}, 3 * 2 ** 20, slow);
    expect(of(4200)).toBeUndefined();
    expect(of(4199)?.message).toContain(
      'at least 4200 ms, of which 800 ms are spec.timeouts.peerMarginMs, and 3000 ms for 3 MiB of memory and files at 1Mi/s, as MigrationPolicy slow allows.',
    );
  });

  it('names the budget, the least that is needed, and what to set', () => {
    const refusal = refuseShortRetryBudget({ rnrRetry: 1, rnrTimer: 20, retryBudgetMs: 10.24 }, {});
    expect(refusal?.reason).toBe('PeerRetryBudgetTooShort');
    for (const part of ['10.24 ms', '1200 ms', 'code 20', 'rnr_retry', annotations.rnrTimer]) {
      expect(refusal?.message).toContain(part);
    }
  });
});
