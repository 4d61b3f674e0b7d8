// SPDX-License-Identifier: Apache-2.0
// Images' way into a request.
import type { ClientRequest } from 'node:http';
import type { ByteSink } from './image-stream.ts';

/**
 * A request that is destroyed calls nobody back whose bytes it has not begun to send. So each write can be failed from outside,
 * until it has ended: a promise of the request's end, raced with each write, would keep all of them until the transfer's end.
 */
export function sinkOf(request: ClientRequest): ByteSink {
  const waiting = new Set<(error: Error) => void>();
  let isClosed = false;
  const close = (): void => {
    isClosed = true;
    for (const fail of waiting) fail(closed());
    waiting.clear();
  };
  request.once('close', close);
  request.once('error', close);
  return {
    write: (bytes) =>
      new Promise<void>((resolve, reject) => {
        if (isClosed) return reject(closed());
        waiting.add(reject);
        request.write(bytes, (error) => {
          waiting.delete(reject);
          if (error) reject(error);
          else resolve();
        });
      }),
  };
}

const closed = (): Error => new Error('the connection has been closed');
