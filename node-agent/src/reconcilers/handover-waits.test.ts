// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { BaseClock, FakeClock, type Timer } from '../../../kube/src/index.ts';
import {
  isSourceStopped,
  isTargetAnswering,
  SOURCE_WAIT_MS,
  TARGET_WAIT_MS,
  waitUntil,
} from './handover-waits.ts';
import { migration } from '../testing/objects.ts';
import { Wakes } from './wakes.ts';

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

  it('is woken by a change, also by one that comes while it looks', async () => {
    const clock = new FakeClock();
    const wakes = new Wakes();
    let looks = 0;
    const condition = (): boolean => {
      looks++;
      // The first one is lost unless it listens before it looks.
      if (looks === 1) wakes.wake('k');
      return looks === 3;
    };
    const { signal } = new AbortController();
    const of = { clock, waitMs: 3000, signal, changes: wakes.changesOf('k') };
    const waiting = waitUntil(condition, of);
    await clock.advance(0);
    expect(looks).toBe(2);
    wakes.wake('other');
    await clock.advance(2000);
    expect(looks, 'nothing is polled').toBe(2);
    wakes.wake('k');
    await clock.advance(0);
    expect(await waiting).toBe(true);
    expect(looks).toBe(3);
  });

  it('looks once more when its time is over', async () => {
    const clock = new FakeClock();
    const begun = clock.now();
    const { signal } = new AbortController();
    const changes = new Wakes().changesOf('k');
    const waiting = waitUntil(() => clock.now() >= begun + 3000, {
      ...{ clock, waitMs: 3000, signal, changes },
    });
    await clock.advance(3000);
    expect(await waiting).toBe(true);
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
