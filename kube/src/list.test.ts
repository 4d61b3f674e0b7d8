// SPDX-License-Identifier: Apache-2.0
// Lists of a large cluster: page by page, item by item, and what a server that is busy asks of its clients.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { manyPod as pod, ManyPods } from '../testing/many-pods.ts';
import type { Api, ListOptions } from './api.ts';
import { BaseClock, FakeClock, jittered, type Timer } from './clock.ts';
import { ApiError, retryAfterMs } from './errors.ts';
import { Informer } from './informer.ts';
import { silent } from './logger.ts';
import { pods } from './resource.ts';
import { WorkQueue } from './work-queue.ts';

describe('a list', () => {
  it('of 20,000 pods never has more than a page in memory', { timeout: 120_000 }, async () => {
    const server = new ManyPods(20_000);
    let seen = 0;
    const each = (item: unknown): void => {
      seen += pods.parse(item).metadata.name.length > 0 ? 1 : 0;
    };
    const { items, resourceVersion } = await server.client.list(pods, { each });
    expect([seen, items.length, resourceVersion]).toEqual([20_000, 0, '7']);
    expect(new Set(server.queries.map((one) => one['limit']))).toEqual(new Set([500]));
    expect(server.highestMiB, 'MiB; all of them have 160').toBeLessThan(24);
  });

  it('without a visitor still has all items, which say what they are', async () => {
    const { items } = await new ManyPods(700).client.list(pods);
    expect(items).toHaveLength(700);
    expect(items[699]).toMatchObject({ kind: 'Pod', apiVersion: 'v1', metadata: { name: 'p699' } });
  });
});

/** Answers lists as the test says, and watches never. */
function listing(answer: (options: ListOptions) => Promise<unknown[]>): Api {
  return {
    list: async (_resource: unknown, options: ListOptions) => ({
      items: await answer(options),
      resourceVersion: '1',
    }),
    async *watch(_resource: unknown, _version: string, { signal }: { signal: AbortSignal }) {
      await sleep(60_000, undefined, { signal }).catch(() => undefined);
    },
  } as unknown as Api;
}

describe('an informer', () => {
  it.each<[string, (options: ListOptions) => Promise<unknown[]>]>([
    ['takes items as they arrive', ({ each }) => (each?.(pod(1)), Promise.resolve([]))],
    ['takes them all at once', () => Promise.resolve([pod(1)])],
  ])('%s', async (_name, answer) => {
    const informer = new Informer({ api: listing(answer), resource: pods, log: silent });
    const stop = new AbortController();
    const run = informer.run(stop.signal);
    await informer.synced;
    expect(informer.list().map((one) => one.metadata.name)).toEqual(['p1']);
    stop.abort();
    await run;
  });

  it('leaves a busy server alone for as long as it asks', async () => {
    const clock = new FakeClock();
    let calls = 0;
    const api = listing(() => {
      calls++;
      return Promise.reject(new ApiError(429, 'TooManyRequests', 'busy', 20));
    });
    const stop = new AbortController();
    const run = new Informer({ api, resource: pods, log: silent, clock }).run(stop.signal);
    const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    await settle();
    expect(calls).toBe(1);
    await clock.advance(19_999);
    await settle();
    expect(calls).toBe(1);
    await clock.advance(1);
    await settle();
    expect(calls).toBe(2);
    stop.abort();
    await run;
  });
});

describe('what a server asks for', () => {
  it.each<[unknown, number]>([
    [new ApiError(429, 'TooManyRequests', 'busy', 3), 3000],
    [new ApiError(503, 'ServiceUnavailable', 'away'), 0],
    [new ApiError(429, 'TooManyRequests', 'busy', 86_400), 60_000],
    [new Error('x'), 0],
  ])('%s', (error, ms) => {
    expect(retryAfterMs(error)).toBe(ms);
  });

  it('counts more than the backoff of a queue', () => {
    const queue = new WorkQueue(new FakeClock());
    expect(queue.addAfterFailure('k')).toBe(50);
    expect(queue.addAfterFailure('k', 7000)).toBe(7000);
    expect(queue.addAfterFailure('k', 7)).toBe(200);
  });
});

class LoadedClock extends BaseClock {
  readonly #values = [0, 0.5, 0.999];
  now(): number {
    return 0;
  }
  after(): Timer {
    return { cancel: () => undefined };
  }
  random(): number {
    return this.#values.shift() ?? 0;
  }
}

it('waits are spread around their length', () => {
  const clock = new LoadedClock();
  expect([1, 2, 3].map(() => Math.round(jittered(1000, clock)))).toEqual([500, 1000, 1499]);
  expect(jittered(1000, new FakeClock()), 'exact where nothing is random').toBe(1000);
});
