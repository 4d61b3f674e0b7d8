// SPDX-License-Identifier: Apache-2.0
// The webhook's server over real TLS, as the API server calls it.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import https from 'node:https';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, expect, it } from 'vitest';
import { WebhookServer } from './webhook-server.ts';

const dir = mkdtempSync(join(tmpdir(), 'sealift-webhook-'));
const server = new WebhookServer({
  answer: () => Promise.reject(new Error('nobody asks')),
  guard: () => Promise.reject(new Error('nobody asks')),
  log: pino({ level: 'silent' }),
});
const agent = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
afterEach(async () => {
  agent.destroy();
  await server.close();
  rmSync(dir, { recursive: true });
});

it('keeps a connection for longer than an API server does that has nothing to ask', async () => {
  const [key, cert] = [join(dir, 'key'), join(dir, 'cert')];
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
    ...['-keyout', key, '-out', cert, '-subj', '/CN=x'],
  ]);
  expect(made.status).toBe(0);
  server.use({ key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') });
  const port = await server.listen(0);
  const request = https.request({ port, agent, method: 'POST', path: '/x' }).end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.resume();
  expect(response.statusCode).toBe(404);
  const seconds = /timeout=(\d+)/.exec(String(response.headers['keep-alive']))?.[1];
  expect(Number(seconds)).toBeGreaterThan(90);
});
