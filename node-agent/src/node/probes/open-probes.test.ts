// SPDX-License-Identifier: Apache-2.0
// With the sockets of this process: it is the kubelet and the pod.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { openProbesEnd } from './open-probes.ts';

const NET = '/proc/self/net';
const hosts = [
  '127.0.0.1',
  ...((networkInterfaces()['lo'] ?? []).some(({ address }) => address === '::1') ? ['::1'] : []),
];

describe.runIf(process.getuid?.() === 0)('probes that are under way', () => {
  const closing: (Server | Socket)[] = [];
  afterEach(() => {
    for (const one of closing.splice(0))
      if ('destroy' in one) one.destroy();
      else one.close();
  });

  const listen = async (host: string) => {
    const accepted = Promise.withResolvers<Socket>();
    const server = createServer((socket) => accepted.resolve(socket)).listen(0, host);
    await once(server, 'listening');
    closing.push(server);
    const { port } = server.address() as AddressInfo;
    const probe = async () => {
      const socket = connect({ host, port });
      closing.push(socket);
      await once(socket, 'connect');
      return socket;
    };
    return { port, probe, accepted: accepted.promise };
  };
  const waited = async (
    port: number,
    more: { address?: string; timeoutMs?: number; signal?: AbortSignal } = {},
  ) => {
    const { address = '127.0.0.1', timeoutMs = 5000, signal } = more;
    const begun = performance.now();
    await openProbesEnd({ addresses: [address], ports: [port], timeoutMs }, NET, signal);
    return performance.now() - begun;
  };

  it.each(hosts)('at %s are waited for until the kubelet has its answer', async (host) => {
    const { port, probe, accepted } = await listen(host);
    const socket = await probe();
    socket.on('data', () => socket.destroy());
    const answering = accepted.then(async (one) => {
      await sleep(400);
      one.end('200');
    });
    // Another spelling of the same address.
    const address = host === '::1' ? '0:0:0:0:0:0:0:1' : host;
    expect(await waited(port, { address })).toBeGreaterThan(300);
    await answering;
    expect(socket.destroyed).toBe(true);
  });

  it('are waited for no longer than the kubelet waits', async () => {
    const { port, probe } = await listen('127.0.0.1');
    await probe();
    const ms = await waited(port, { timeoutMs: 300 });
    expect(ms).toBeGreaterThan(290);
    expect(ms).toBeLessThan(3000);
  });

  it('are not waited for once the move is aborted', async () => {
    const { port, probe } = await listen('127.0.0.1');
    await probe();
    expect(await waited(port, { signal: AbortSignal.abort() })).toBeLessThan(2000);
  });

  it('are others than those of another port, another address, or that begin later', async () => {
    const [one, other] = [await listen('127.0.0.1'), await listen('127.0.0.1')];
    await other.probe();
    expect(await waited(one.port)).toBeLessThan(2000);
    const first = await one.probe();
    expect(await waited(one.port, { address: '127.0.0.2' })).toBeLessThan(2000);
    const waiting = waited(one.port);
    // It has looked once.
    await sleep(1000);
    await one.probe();
    first.destroy();
    expect(await waiting).toBeLessThan(4000);
  });
});
