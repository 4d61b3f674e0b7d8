// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { BaseClock, type Timer } from '../../../kube/src/index.ts';
import {
  isSourceStopped,
  isTargetAnswering,
  SOURCE_WAIT_MS,
  TARGET_WAIT_MS,
  waitUntil,
} from './handover-waits.ts';
import { migration } from '../testing/objects.ts';

/** Passes as fast as it is waited for. */
class FastClock extends BaseClock {
  #now = 1_000_000;
  now(): number {
    return this.#now;
  }
  after(ms: number, call: () => void): Timer {
    const timer = setImmediate(() => {
      this.#now += ms;
      call();
    });
    return { cancel: () => clearImmediate(timer) };
  }
}

describe('handing over', () => {
  it.each([
    ['AtResumeGate', false],
    ['Answering', true],
    ['Running', true],
    ['Failed', true],
  ] as const)('a target that is %s answers: %s', (state, answers) => {
    expect(isTargetAnswering(migration({ targetAgent: { state } }))).toBe(answers);
  });

  it.each([
    [migration({ sourceAgent: { state: 'Sent' } }), false],
    [migration(), false],
    [migration({ sourceAgent: { state: 'Gone' } }), true],
    [undefined, true],
  ])(
    'a source is silent when its agent reports so, and when no agent is left to report it',
    (request, is) => {
      expect(isSourceStopped(request)).toBe(is);
    },
  );

  it('waits until the other side has reached the state', async () => {
    const clock = new FastClock();
    const begun = clock.now();
    const isSoFar = () => clock.now() - begun >= 400;
    const { signal } = new AbortController();
    expect(await waitUntil(isSoFar, { clock, waitMs: 3000, signal })).toBe(true);
    expect(clock.now() - begun).toBe(400);
  });

  it('waits no longer than that, and a source longer than a target', async () => {
    const clock = new FastClock();
    const begun = clock.now();
    const { signal } = new AbortController();
    const never = () => Promise.resolve(false);
    expect(await waitUntil(never, { clock, waitMs: TARGET_WAIT_MS, signal })).toBe(false);
    expect(clock.now() - begun).toBe(TARGET_WAIT_MS);
    expect(SOURCE_WAIT_MS).toBeGreaterThan(TARGET_WAIT_MS);
  });

  it('stops with its agent', async () => {
    const stop = new AbortController();
    const waiting = waitUntil(() => false, {
      ...{ clock: new FastClock(), waitMs: 3000, signal: stop.signal },
    });
    stop.abort(new Error('stopping'));
    await expect(waiting).rejects.toThrow('stopping');
  });
});
