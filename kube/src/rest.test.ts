// SPDX-License-Identifier: Apache-2.0
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import { afterEach, describe, expect, it } from 'vitest';
import { longestFactor, Rest } from './rest.ts';

const timeoutMs = 100;

/** Asks a server that listens on any port. */
async function restOf(server: Server): Promise<Rest> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    { name: 'c', server: `http://127.0.0.1:${port}`, skipTLSVerify: true },
    { name: 'u' },
  );
  return new Rest(config);
}

describe('a server that answers late', () => {
  let server: Server | undefined;
  let answerMs = 0;
  let status = 200;

  function rest(): Promise<Rest> {
    server = createServer((_, response) => {
      setTimeout(() => response.writeHead(status).end('{}'), answerMs);
    });
    return restOf(server);
  }
  const get = (from: Rest): Promise<unknown> =>
    from.request({ method: 'GET', path: '/', timeoutMs });

  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
    status = 200;
  });

  it('gets more time after each timeout, until it answers', async () => {
    const client = await rest();
    answerMs = 60_000;
    await expect(get(client)).rejects.toThrow('no answer within 100 ms');
    await expect(get(client)).rejects.toThrow('no answer within 200 ms');
    answerMs = 0;
    expect(await get(client)).toEqual({});
    answerMs = 60_000;
    await expect(get(client)).rejects.toThrow('no answer within 200 ms');
  });

  it('counts timeouts of requests at the same time once', async () => {
    const client = await rest();
    answerMs = 60_000;
    const results = await Promise.allSettled([get(client), get(client), get(client)]);
    expect(results.map(({ status: how }) => how)).toEqual(['rejected', 'rejected', 'rejected']);
    await expect(get(client)).rejects.toThrow('no answer within 200 ms');
  });

  it('never gets more than the longest time', async () => {
    const client = await rest();
    answerMs = 60_000;
    for (let n = 0; n < 5; n++) await get(client).catch(() => undefined);
    await expect(get(client)).rejects.toThrow(`no answer within ${longestFactor * timeoutMs} ms`);
  });

  it('has answered with an error too', async () => {
    const client = await rest();
    answerMs = 60_000;
    // The answer may take a while on a busy machine.
    for (let n = 0; n < 3; n++) await get(client).catch(() => undefined);
    [answerMs, status] = [0, 409];
    await expect(get(client)).rejects.toMatchObject({ name: 'ApiError' });
    [answerMs, status] = [60_000, 200];
    await expect(get(client)).rejects.toThrow('no answer within 400 ms');
  });
});

describe('a watch', () => {
  const idleMs = 200;
  const line = `${JSON.stringify({ type: 'ADDED', object: {} })}\n`;
  let server: Server | undefined;

  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
  });

  /** @returns how many lines came, and whether the server has accepted it */
  async function watch(answer: RequestListener, signal = new AbortController().signal) {
    server = createServer(answer);
    const rest = await restOf(server);
    const seen = { lines: 0, isOpen: false };
    const opened = (): void => void (seen.isOpen = true);
    for await (const _ of rest.watch('/', {}, signal, idleMs, opened)) seen.lines++;
    return seen;
  }

  it('that nobody answers ends with an error', async () => {
    await expect(watch(() => undefined)).rejects.toMatchObject({
      code: 'RequestTimeout',
      message: 'watch /: no answer within 200 ms',
    });
  });

  it('that is answered, and then silent, ends without one', async () => {
    const silent = watch((_, response) => response.writeHead(200).flushHeaders());
    expect(await silent).toEqual({ lines: 0, isOpen: true });
    const later = watch((_, response) => response.writeHead(200).write(line));
    expect(await later).toEqual({ lines: 1, isOpen: true });
  });

  it('that is given up ends without one, answered or not', async () => {
    const signal = AbortSignal.timeout(idleMs / 4);
    expect(await watch(() => undefined, signal)).toEqual({ lines: 0, isOpen: false });
  });
});
