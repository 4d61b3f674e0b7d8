// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { RxeObject, RxePeer } from '../../../../native/addon/index.ts';
import { firstToGiveUp, shortBudgetReason } from './retry-budget.ts';

const peer = (more: Partial<RxePeer> = {}): RxePeer => {
  return { rnrRetry: 0, retryCount: 3, timeout: 14, isSilent: true, rnrTimer: 20, ...more };
};
const queuePair = (number: number, of?: RxePeer, more: Partial<RxeObject> = {}): RxeObject => {
  return {
    kind: 'qp',
    number,
    handle: 4,
    context: 1,
    type: 'RC',
    ...(of && { peer: of }),
    ...more,
  };
};

describe('the queue pair whose peer gives up first', () => {
  const { context: _, ...kernels } = queuePair(5, peer({ budgetMs: 1 }));
  it.each<[string, RxeObject[], number | undefined]>([
    ['none', [], undefined],
    ['one without a limit', [queuePair(17, peer())], undefined],
    ['one before RTS, or of datagrams', [queuePair(17)], undefined],
    ['a limited one', [queuePair(17, peer({ budgetMs: 180 }))], 17],
    [
      'the shortest of several',
      [300, 180, 200].map((budgetMs, n) => queuePair(17 + n, peer({ budgetMs }))),
      18,
    ],
    ['one that gives up at once', [queuePair(17, peer({ budgetMs: 0 }))], 17],
    ['not one of the kernel', [kernels, queuePair(17, peer({ budgetMs: 180 }))], 17],
  ])('%s', (_name, objects, number) => {
    expect(firstToGiveUp(objects)?.number).toBe(number);
  });
});

describe('a short retry budget', () => {
  const of = (budgetMs: number, more: Partial<RxePeer> = {}) => ({
    ...{ device: 'rxe0', number: 17, handle: 4, owner: 'Process 41 (brpc)' },
    peer: { ...peer(more), budgetMs },
  });

  it.each([
    [1199, {}, true],
    [1200, {}, false],
    [1200, { peerMarginMs: 801 }, true],
    [500, { peerMarginMs: 100 }, false],
    [0, {}, true],
  ])('of %i ms with %o is refused: %s', (budgetMs, timeouts, isRefused) => {
    expect(shortBudgetReason(of(budgetMs), timeouts) !== undefined).toBe(isRefused);
  });

  it('names process, queue pair, its attributes and what to do', () => {
    expect(shortBudgetReason(of(180), {})).toBe(
      'Process 41 (brpc) has queue pair 17 (handle 4) on rxe0 with rnr_retry 0, retry_cnt 3 and timeout 14 (67 ms). A peer ' +
        'that is set up the same gives up after 180 ms; a move needs at least 1200 ms, of which 800 ms are ' +
        'spec.timeouts.peerMarginMs. Set rnr_retry 7 at both ends, or retry_cnt 7, or a longer timeout. If the peer is ' +
        "set up otherwise, set the pod's annotation sealift.dev/peer-rnr-retry to its rnr_retry.",
    );
  });

  it('does not advise what does not help a peer without a timeout', () => {
    const reason = shortBudgetReason(of(0, { timeout: 0, retryCount: 7 }), {});
    expect(reason).toMatch(/timeout 0 \(none: it repeats nothing by itself\)/);
    expect(reason).toMatch(/Set rnr_retry 7 at both ends\. If/);
  });
});
