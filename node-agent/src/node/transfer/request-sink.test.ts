// SPDX-License-Identifier: Apache-2.0
// Bytes into a request that somebody reads, that nobody reads, and that has ended.
import { once } from 'node:events';
import http from 'node:http';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, expect, it } from 'vitest';
import { sinkOf } from './request-sink.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** More than the sockets of both ends hold. */
const MUCH = Buffer.alloc(64 << 20);
const WRITES = 500;

let server: Server | undefined;
let request: http.ClientRequest | undefined;
afterEach(() => {
  request?.destroy();
  server?.close();
});

/** A request to a peer that does this with its connection. */
async function ask(serve: (socket: Socket) => void): Promise<http.ClientRequest> {
  const listening = createServer((socket) => {
    socket.on('error', () => undefined);
    serve(socket);
  });
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const { port } = listening.address() as AddressInfo;
  const made = http.request({ host: '127.0.0.1', port, method: 'PUT', agent: false });
  made.on('error', () => undefined);
  request = made;
  return made;
}

it('nothing is kept of a write that has ended', async () => {
  const sink = sinkOf(await ask((socket) => void socket.resume()));
  const writes: WeakRef<Promise<void>>[] = [];
  for (let at = 0; at < WRITES; at++) {
    const write = sink.write(Buffer.from('x'));
    writes.push(new WeakRef(write));
    await write;
  }
  // A reference that was made in this turn holds what it refers to.
  await turn();
  collect();
  const kept = writes.filter((one) => one.deref() !== undefined);
  // The last ones may still be in a register.
  expect(kept.length).toBeLessThan(10);
});

it.each([
  ['destroyed', (made: http.ClientRequest) => made.destroy()],
  ['ended by an error', (made: http.ClientRequest) => made.destroy(new Error('broken'))],
])('a request that is %s fails all that waits, and what comes later', async (_what, end) => {
  const made = await ask((socket) => void socket.pause());
  const sink = sinkOf(made);
  // It has begun to send the first, and calls nobody back for the others.
  const waiting = [sink.write(MUCH), sink.write(Buffer.from('x')), sink.write(Buffer.from('y'))];
  const settled = Promise.allSettled(waiting);
  await once(made, 'socket').then(() => turn());
  end(made);
  expect((await settled).map(({ status }) => status)).toEqual(Array(3).fill('rejected'));
  await expect(sink.write(Buffer.from('z'))).rejects.toThrow();
});

it('a request that was destroyed before it had a connection fails its write', async () => {
  const made = await ask(() => undefined);
  const sink = sinkOf(made);
  const write = sink.write(Buffer.from('x'));
  made.destroy();
  await expect(write).rejects.toThrow('closed');
});

it('a peer that hangs up fails the write', async () => {
  const sink = sinkOf(await ask((socket) => void socket.destroy()));
  await expect(sink.write(MUCH)).rejects.toThrow();
});
