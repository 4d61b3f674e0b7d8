// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { FakeClock, timestamp } from '../../../kube/src/index.ts';
import { RunningWork } from './running-work.ts';
import { doWithin, earliest, stepLimit } from './step-limits.ts';

const limit = (at: number) => ({ at, code: 'DumpDeadlineExceeded', message: 'step dump' });
const late = { code: 'DumpDeadlineExceeded', message: 'step dump' };

describe('limits', () => {
  it('are the first that ends', () => {
    expect(earliest(undefined, limit(3), undefined, limit(2), limit(4))?.at).toBe(2);
    expect(earliest(undefined)).toBeUndefined();
  });

  it('of a step are where its beginning was recorded', () => {
    const steps = [{ name: 'dump' as const, startTime: 'x', deadline: timestamp(5000) }];
    expect(stepLimit(steps, 'dump', 9)).toMatchObject({ at: 5000, code: 'DumpDeadlineExceeded' });
    expect(stepLimit(steps, 'dump', 9)?.message).toMatch(/dump .* 9 s.*spec.timeouts.dumpSeconds/);
    expect(stepLimit(steps, 'transfer', 9)).toBeUndefined();
    expect(stepLimit(undefined, 'dump', 9)).toBeUndefined();
  });

  it('end the waiting for what hangs, and tell it', async () => {
    const clock = new FakeClock();
    const stop = new AbortController();
    const work = doWithin(
      limit(clock.now() + 1000),
      clock,
      stop,
      () => new Promise(() => undefined),
    );
    const failed = expect(work).rejects.toMatchObject(late);
    await clock.advance(999);
    expect(stop.signal.aborted).toBe(false);
    await clock.advance(1);
    await failed;
    expect(stop.signal.reason).toMatchObject(late);
  });

  it('that are over let nothing begin', async () => {
    const clock = new FakeClock();
    let begun = false;
    const work = doWithin(limit(clock.now()), clock, new AbortController(), async () => {
      begun = true;
    });
    await expect(work).rejects.toMatchObject(late);
    expect(begun).toBe(false);
  });

  it('do not disturb what is done in time', async () => {
    const clock = new FakeClock();
    const stop = new AbortController();
    expect(await doWithin(limit(clock.now() + 5), clock, stop, async () => 7)).toBe(7);
    expect(await doWithin(undefined, clock, stop, async () => 8)).toBe(8);
    await clock.advance(1000);
    expect(stop.signal.aborted).toBe(false);
  });
});

describe('running work', () => {
  it('is waited for after it was cut, but not for ever', async () => {
    const clock = new FakeClock();
    const underWay = new RunningWork(clock);
    const hanging = Promise.withResolvers<void>();
    const work = underWay.run('u', limit(clock.now() + 10), () => hanging.promise);
    const failed = expect(work).rejects.toMatchObject(late);
    await clock.advance(10);
    await failed;
    let ended = false;
    const waiting = underWay.waitForEnd('u').then(() => (ended = true));
    await clock.advance(9999);
    expect(ended).toBe(false);
    await clock.advance(1);
    await waiting;
    hanging.reject(new Error('interrupted'));
    await underWay.waitForEnd('u');
    await underWay.waitForEnd('another');
  });

  it('gets the signal when its result is not needed, and decides itself when to end', async () => {
    const underWay = new RunningWork(new FakeClock());
    let reported: unknown = 'not yet';
    const end = Promise.withResolvers<string>();
    const work = underWay.run('u', undefined, (signal) => {
      signal.addEventListener('abort', () => (reported = (signal.reason as Error).name));
      return end.promise;
    });
    underWay.stop('another');
    expect(reported).toBe('not yet');
    underWay.stop('u');
    expect(reported).toBe('AbortError');
    end.resolve('done');
    expect(await work).toBe('done');
  });
});
