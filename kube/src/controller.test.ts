// SPDX-License-Identifier: Apache-2.0
// The loop around a reconciler, with a clock that the test moves.
import { describe, expect, it } from 'vitest';
import { FakeClock } from './clock.ts';
import { Controller, reconciler, type Context, type Parts, type Reconcile } from './controller.ts';
import { ApiError, TerminalError } from './errors.ts';
import { silent } from './logger.ts';

/** Runs a controller while the test looks. */
async function running(
  reconcile: Reconcile,
  look: (controller: Controller, clock: FakeClock) => Promise<void>,
  more: { concurrency?: number; timeoutMs?: number } = {},
): Promise<void> {
  const clock = new FakeClock();
  const controller = new Controller({ name: 'test', reconcile, log: silent, clock, ...more });
  const stop = new AbortController();
  const run = controller.run(stop.signal);
  await look(controller, clock);
  stop.abort();
  await run;
}

describe('a controller', () => {
  it('runs a key once, however often it was added, and again if it was added during the run', async () => {
    const gate = Promise.withResolvers<void>();
    let runs = 0;
    await running(
      async () => {
        runs++;
        if (runs === 1) await gate.promise;
      },
      async (controller, clock) => {
        controller.enqueue('k');
        controller.enqueue('k');
        await clock.advance(0);
        expect(runs).toBe(1);
        controller.enqueue('k');
        controller.enqueue('k');
        await clock.advance(0);
        expect(runs, 'never twice at a time').toBe(1);
        gate.resolve();
        await clock.advance(0);
        expect(runs).toBe(2);
      },
    );
  });

  it('runs as many keys at a time as allowed', async () => {
    const gate = Promise.withResolvers<void>();
    const seen: string[] = [];
    await running(
      async (key) => {
        seen.push(key);
        await gate.promise;
      },
      async (controller, clock) => {
        for (const key of ['a', 'b', 'c']) controller.enqueue(key);
        await clock.advance(0);
        expect(seen).toEqual(['a', 'b']);
        gate.resolve();
        await clock.advance(0);
        expect(seen).toEqual(['a', 'b', 'c']);
      },
      { concurrency: 2 },
    );
  });

  it.each<[string, () => Error]>([
    ['an error', () => new Error('x')],
    ['a conflict', () => new ApiError(409, 'Conflict', 'x')],
  ])(
    'tries again after %s, ever later, and at once again after a success',
    async (_name, error) => {
      const times: number[] = [];
      let failing = true;
      let clockNow = (): number => 0;
      await running(
        async () => {
          times.push(clockNow());
          if (failing) throw error();
        },
        async (controller, clock) => {
          clockNow = () => clock.now();
          controller.enqueue('k');
          await clock.advance(2000);
          const gaps = times.slice(1).map((time, i) => time - (times[i] ?? 0));
          expect(gaps.length).toBeGreaterThan(3);
          for (let i = 1; i < gaps.length; i++) expect(gaps[i]).toBeGreaterThan(gaps[i - 1] ?? 0);
          failing = false;
          await clock.advance(60_000);
          const count = times.length;
          failing = true;
          controller.enqueue('k');
          await clock.advance(100);
          expect(times.length, 'the backoff starts anew').toBeGreaterThanOrEqual(count + 2);
        },
      );
    },
  );

  it('drops a key after a terminal error until it is added again', async () => {
    let runs = 0;
    await running(
      async () => {
        runs++;
        throw new TerminalError('Nonsense', 'x');
      },
      async (controller, clock) => {
        controller.enqueue('k');
        await clock.advance(1e6);
        expect(runs).toBe(1);
        controller.enqueue('k');
        await clock.advance(0);
        expect(runs).toBe(2);
      },
    );
  });

  it('runs a key again after requeueAfterMs, and earlier when something changes', async () => {
    let runs = 0;
    await running(
      async () => {
        runs++;
        return { requeueAfterMs: 1000 };
      },
      async (controller, clock) => {
        controller.enqueue('k');
        await clock.advance(999);
        expect(runs).toBe(1);
        await clock.advance(1);
        expect(runs).toBe(2);
        await clock.advance(500);
        controller.enqueue('k');
        await clock.advance(499);
        expect(runs).toBe(3);
        await clock.advance(1);
        expect(runs, 'of two waits the earlier counts').toBe(4);
      },
    );
  });

  it('aborts a run that takes too long', async () => {
    let aborted = false;
    await running(
      (_key, { signal }: Context) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            aborted = true;
            reject(new Error('aborted'));
          });
        }),
      async (controller, clock) => {
        controller.enqueue('k');
        await clock.advance(4999);
        expect(aborted).toBe(false);
        await clock.advance(1);
        expect(aborted).toBe(true);
      },
      { timeoutMs: 5000 },
    );
  });
});

describe('a reconciler', () => {
  const context = { signal: new AbortController().signal, log: silent };
  const parts = (order: string[], more: Partial<Parts<string, { type: string }, string>> = {}) => ({
    observe: async (key: string) => (key === 'gone' ? undefined : key),
    decide: () => ({ status: 's', effects: [{ type: 'a' }, { type: 'b' }], requeueAfterMs: 7 }),
    publish: async (status: string) => void order.push(`publish ${status}`),
    act: async (effect: { type: string }) => void order.push(`act ${effect.type}`),
    ...more,
  });

  it('publishes before it acts', async () => {
    const order: string[] = [];
    expect(await reconciler(parts(order))('k', context)).toEqual({ requeueAfterMs: 7 });
    expect(order).toEqual(['publish s', 'act a', 'act b']);
  });

  it('says that all is done, but not if something failed', async () => {
    const order: string[] = [];
    const done = (): void => void order.push('done');
    await reconciler(parts(order, { done }))('k', context);
    expect(order.at(-1)).toBe('done');
    const act = (): Promise<void> => Promise.reject(new Error('x'));
    await expect(reconciler(parts([], { done, act }))('k', context)).rejects.toThrow('x');
    expect(order.filter((one) => one === 'done').length).toBe(1);
  });

  it('does not act on a stale view', async () => {
    const order: string[] = [];
    const conflict = async (): Promise<void> => {
      throw new ApiError(409, 'Conflict', 'x');
    };
    const run = reconciler(parts(order, { publish: conflict }))('k', context);
    await expect(run).rejects.toMatchObject({ code: 'Conflict' });
    expect(order).toEqual([]);
  });

  it('does nothing for an object that is gone', async () => {
    const order: string[] = [];
    expect(await reconciler(parts(order))('gone', context)).toBeUndefined();
    expect(order).toEqual([]);
  });
});
