// SPDX-License-Identifier: Apache-2.0
// HTTP for the kubelet and for Prometheus: /healthz, /readyz, /metrics.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { messageOf } from './errors.ts';
import { registry } from './metrics.ts';

export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

/** @returns why the process cannot do its work, as a sentence; undefined: it can. A check that throws says so too. */
export type ReadyCheck = () => string | undefined | Promise<string | undefined>;

/**
 * @param port 0: any free port.
 * @param checks by name; all are asked for every /readyz
 */
export async function serveHealth(
  port: number,
  checks: Readonly<Record<string, ReadyCheck>>,
): Promise<HealthServer> {
  const server = http.createServer((request, response) => {
    const path = (request.url ?? '/').split('?')[0];
    if (path === '/healthz') return void response.end('ok\n');
    if (path === '/readyz') {
      void problems(checks).then((found) => {
        response.statusCode = found.length === 0 ? 200 : 503;
        response.end(`${found.join('\n') || 'ok'}\n`);
      });
      return;
    }
    if (path === '/metrics') {
      registry.metrics().then(
        (text) => response.setHeader('content-type', registry.contentType).end(text),
        () => response.writeHead(500).end(),
      );
      return;
    }
    response.writeHead(404).end();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function problems(checks: Readonly<Record<string, ReadyCheck>>): Promise<string[]> {
  const results = Object.entries(checks).map(async ([name, check]) => {
    const why = await answerOf(check);
    return why === undefined ? [] : [`${name}: ${why}`];
  });
  return (await Promise.all(results)).flat();
}

async function answerOf(check: ReadyCheck): Promise<string | undefined> {
  try {
    return await check();
  } catch (error) {
    return messageOf(error);
  }
}
