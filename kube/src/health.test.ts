// SPDX-License-Identifier: Apache-2.0
import { afterEach, describe, expect, it } from 'vitest';
import type { Api } from './api.ts';
import { FakeClock } from './clock.ts';
import { ApiError, ConnectionError } from './errors.ts';
import { serveHealth, type HealthServer, type ReadyCheck } from './health.ts';
import { LeaderElector } from './leader.ts';
import { silent } from './logger.ts';

describe('/readyz', () => {
  let server: HealthServer | undefined;
  afterEach(() => server?.close());

  async function ask(checks: Record<string, ReadyCheck>): Promise<[number, string]> {
    server = await serveHealth(0, checks);
    const answer = await fetch(`http://127.0.0.1:${server.port}/readyz`);
    return [answer.status, await answer.text()];
  }

  it('is ok when no check has anything to say', async () => {
    expect(await ask({ a: () => undefined, b: async () => undefined })).toEqual([200, 'ok\n']);
  });

  it('names every check that fails, and why', async () => {
    const answer = await ask({
      good: () => undefined,
      caches: () => 'Not listed yet.',
      device: () => Promise.reject(new Error('no driver')),
      files: () => {
        throw new Error('gone');
      },
    });
    expect(answer).toEqual([503, 'caches: Not listed yet.\ndevice: no driver\nfiles: gone\n']);
  });
});

describe('a process that may lead', () => {
  it('is ready as long as the API server answers, whoever leads', async () => {
    const clock = new FakeClock();
    let isUp = false;
    const api = {
      get: async () => {
        if (!isUp) throw new ConnectionError('Unreachable', 'refused');
        return { metadata: { resourceVersion: '1' }, spec: { holderIdentity: 'other' } };
      },
    } as unknown as Api;
    const elector = new LeaderElector({
      ...{ api, log: silent, clock, namespace: 'n', name: 'l', identity: 'me' },
    });
    const stop = new AbortController();
    const running = elector.run(() => Promise.reject(new ApiError(500, 'x', 'x')), stop.signal);
    await clock.advance(3_000);
    expect(elector.unreachable()).toBe('The API server has not answered yet.');
    isUp = true;
    await clock.advance(3_000);
    expect(elector.unreachable()).toBeUndefined();
    isUp = false;
    await clock.advance(18_000);
    expect(elector.unreachable()).toBeUndefined();
    await clock.advance(9_000);
    expect(elector.unreachable()).toMatch(/not answered for \d+ s\./);
    stop.abort();
    await running;
  });
});
