// SPDX-License-Identifier: Apache-2.0
import { afterEach, describe, expect, it } from 'vitest';
import type { Api, WatchEvent, WatchSelection } from './api.ts';
import { FakeClock } from './clock.ts';
import { ApiError, ConnectionError } from './errors.ts';
import { serveHealth, type HealthServer, type ReadyCheck } from './health.ts';
import { Informer } from './informer.ts';
import { LeaderElector } from './leader.ts';
import { silent } from './logger.ts';
import { nodes } from './resource.ts';

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

describe('an informer', () => {
  const selection = { fieldSelector: 'a=b' };

  /** An API server whose lists and watches end as they are told. */
  class Server {
    readonly clock = new FakeClock();
    list: () => Promise<unknown> = () => Promise.resolve({ items: [], resourceVersion: '1' });
    /** Undefined: a watch is accepted, and nothing comes. */
    refusal: Error | undefined;
    readonly informer = new Informer({
      ...{ resource: nodes, log: silent, clock: this.clock, selection },
      api: {
        list: () => this.list(),
        watch: (_of: unknown, _version: string, options: WatchSelection) => this.#watch(options),
      } as unknown as Api,
    });

    async *#watch({ opened, signal }: WatchSelection): AsyncGenerator<WatchEvent> {
      this.#mayRefuse();
      opened?.();
      // Accepted, and ended after a minute as servers do.
      await this.clock.sleep(60_000, signal);
      this.#mayRefuse();
    }

    #mayRefuse(): void {
      if (this.refusal) throw this.refusal;
    }

    async pass(seconds: number): Promise<void> {
      for (let n = 0; n < seconds; n++) await this.clock.advance(1000);
    }
  }

  it('that has failed for two minutes says which kind, and why, until it goes on', async () => {
    const server = new Server();
    const stop = new AbortController();
    const run = server.informer.run(stop.signal);
    expect(server.informer.problem).toBe('Node is not listed yet.');
    await server.pass(600);
    expect(server.informer.problem).toBeUndefined();
    server.refusal = new ConnectionError('Unreachable', 'watch: no route');
    await server.pass(60 + 118);
    expect(server.informer.problem).toBeUndefined();
    await server.pass(4);
    expect(server.informer.problem).toMatch(
      /^Changes of Node have not been seen for 12\d s: watch: no route\.$/,
    );
    server.refusal = undefined;
    await server.pass(16);
    expect(server.informer.problem).toBeUndefined();
    stop.abort();
    await run;
  });

  it('says what refuses its first list, at once', async () => {
    const server = new Server();
    server.list = () => Promise.reject(new ApiError(403, 'Forbidden', 'nodes is forbidden'));
    const stop = new AbortController();
    const run = server.informer.run(stop.signal);
    await server.pass(1);
    expect(server.informer.problem).toBe('Node is not listed yet: nodes is forbidden.');
    stop.abort();
    await run;
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
