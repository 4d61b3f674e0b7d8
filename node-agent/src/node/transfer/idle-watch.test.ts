// SPDX-License-Identifier: Apache-2.0
// Uploads over real HTTP whose sender or receiver stands still.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { watchIdle } from './idle-watch.ts';

/** Receives one upload. @returns how it ended for the receiver */
async function upload(
  send: (request: http.ClientRequest) => Promise<void>,
  consumer: Writable,
  work: () => Promise<void> = async () => undefined,
): Promise<string> {
  const ended = Promise.withResolvers<string>();
  const server = http.createServer((request, response) => {
    const endWatch = watchIdle(request, 1200);
    pipeline(request, consumer)
      .then(work)
      .then(
        () => ended.resolve('stored'),
        (error: Error) => ended.resolve(error.message),
      )
      .finally(() => {
        endWatch();
        response.end();
      });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const request = http.request({ host: '127.0.0.1', port, method: 'PUT' });
  request.on('error', () => undefined);
  await send(request);
  const how = await ended.promise;
  request.destroy();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  return how;
}

/** Takes each chunk after `ms`. */
const slow = (ms: number) =>
  new Writable({
    write: (_chunk, _encoding, done) => void setTimeout(done, ms),
  });

describe('an upload', () => {
  it('ends when its sender sends no more', async () => {
    const how = await upload(async (request) => void request.write('beginning'), slow(0));
    expect(how).toMatch(/no data for 1 s|aborted/);
  }, 20_000);

  it('does not end while its receiver writes, nor while it syncs after the last byte', async () => {
    const how = await upload(
      async (request) => {
        request.write(Buffer.alloc(1 << 20));
        await sleep(100);
        request.end('end');
      },
      // A first write that takes longer than the limit for the sender.
      (() => {
        let first = 2500;
        return new Writable({
          write: (_chunk, _encoding, done) => {
            setTimeout(done, first);
            first = 0;
          },
        });
      })(),
      () => sleep(2500),
    );
    expect(how).toBe('stored');
  }, 20_000);
});
