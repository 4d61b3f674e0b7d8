// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { ApiError, FakeClock, type Api, type Logger } from '../../../../kube/src/index.ts';
import { oneAtATime } from './one-at-a-time.ts';

interface Stored {
  metadata: { name: string; resourceVersion: string };
  spec: Record<string, unknown>;
}

/** An API server that has Leases only, and refuses a change of a version that is not the newest. */
function leaseServer(): Api {
  let stored: Stored | undefined;
  let version = 0;
  return {
    async get() {
      if (!stored) throw new ApiError(404, 'NotFound', 'no lease');
      return structuredClone(stored);
    },
    async create(_: unknown, __: string, body: Stored) {
      if (stored) throw new ApiError(409, 'AlreadyExists', 'there is a lease');
      stored = { metadata: { ...body.metadata, resourceVersion: `${++version}` }, spec: body.spec };
    },
    async merge(_: unknown, __: string, ___: string, body: Stored) {
      if (stored?.metadata.resourceVersion !== body.metadata.resourceVersion)
        throw new ApiError(409, 'Conflict', 'another version');
      stored.metadata.resourceVersion = `${++version}`;
      Object.assign(stored.spec, body.spec);
    },
  } as unknown as Api;
}

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
const log = silent as unknown as Logger;

it(
  'lets one node work at a time, and hands on what its work throws',
  { timeout: 60_000 },
  async () => {
    const api = leaseServer();
    const of = (node: string) =>
      oneAtATime({ api, log, namespace: 'sealift', name: 'restart', node });
    let working = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      most = Math.max(most, ++working);
      await new Promise((resolve) => setTimeout(resolve, 50));
      working--;
    };
    const failing = of('c')(async () => {
      await work();
      throw new Error('no restart');
    });
    const all = await Promise.allSettled([of('a')(work), of('b')(work), failing]);
    expect(most).toBe(1);
    expect(all.map((one) => one.status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    expect(String((all[2] as PromiseRejectedResult).reason)).toContain('no restart');
  },
);

it('goes on with the next node half a minute after one has gone and does not come back', async () => {
  const api = leaseServer();
  const clock = new FakeClock();
  const of = (node: string, own: FakeClock) =>
    oneAtATime({ api, log, namespace: 'sealift', name: 'restart', node, clock: own });
  // Its clock stands still from here on: the machine is off.
  const dead = new FakeClock();
  void of('a', dead)(() => new Promise(() => undefined));
  await dead.advance(0);
  let done = false;
  const next = of('b', clock)(async () => void (done = true));
  await clock.advance(27_000);
  expect(done).toBe(false);
  await clock.advance(9000);
  expect(done).toBe(true);
  await clock.advance(3000);
  await next;
});
