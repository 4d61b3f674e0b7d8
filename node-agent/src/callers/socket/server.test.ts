// SPDX-License-Identifier: Apache-2.0
// The real server on a real Unix socket.
import { mkdtemp, rm, stat } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentError } from '../../support/errors.ts';
import { MAX_REQUEST_BYTES } from '../../support/socket-protocol.ts';
import { SocketServer, type SocketHandlers } from './server.ts';

let dir: string;
let path: string;
let server: SocketServer;
let handlers: SocketHandlers;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-socket-'));
  path = join(dir, 'run', 'agent.sock');
  handlers = {
    create: async () => ({ ok: true, action: 'run' }),
    gate: async () => ({ ok: true }),
    cni: async () => ({ ok: true }),
  };
  server = new SocketServer(
    {
      create: (request, gone) => handlers.create(request, gone),
      gate: (request, gone) => handlers.gate(request, gone),
      cni: (request, gone) => handlers.cni(request, gone),
    },
    pino({ level: 'silent' }),
  );
  await server.listen(path);
});
afterEach(async () => {
  await server.close();
  await rm(dir, { recursive: true, force: true });
});

function ask(text: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(path, () => socket.write(text));
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString()));
    socket.on('error', reject);
    socket.on('end', () => resolve(answer === '' ? undefined : JSON.parse(answer)));
  });
}

const create = {
  op: 'create',
  id: 'abc123',
  bundle: '/run/bundle',
  sandboxId: 'def',
  namespace: 'default',
  pod: 'p',
  podUid: 'u',
  container: 'main',
};

describe('the agent socket', () => {
  it('is readable by root only', async () => {
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('answers one line with one line, even when the line comes in pieces', async () => {
    handlers.create = async (request) => ({
      ok: true,
      action: 'restore',
      imagePath: `/images/${request.container}`,
      workPath: '/work',
      options: ['--tcp-established'],
      env: { SEALIFT_GATE: 't' },
    });
    expect(await ask(`${JSON.stringify(create)}\n`)).toEqual({
      ok: true,
      action: 'restore',
      imagePath: '/images/main',
      workPath: '/work',
      options: ['--tcp-established'],
      env: { SEALIFT_GATE: 't' },
    });
    const text = `${JSON.stringify({ op: 'gate', token: 't', container: 'main', pid: 7 })}\n`;
    const socket = net.connect(path);
    for (const character of text) {
      socket.write(character);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const answer = await new Promise<string>((resolve) =>
      socket.once('data', (chunk) => resolve(chunk.toString())),
    );
    expect(answer).toBe('{"ok":true}\n');
  });

  it('turns every failure into a code and a message', async () => {
    handlers.create = async () => {
      throw new AgentError('MovedAway', 'this pod runs elsewhere now');
    };
    expect(await ask(`${JSON.stringify(create)}\n`)).toEqual({
      ok: false,
      code: 'MovedAway',
      message: 'this pod runs elsewhere now',
    });
  });

  it.each([
    ['no JSON', 'hello\n'],
    ['an unknown op', '{"op":"format-disk"}\n'],
    ['a missing field', '{"op":"gate"}\n'],
    ['a relative path', `${JSON.stringify({ ...create, bundle: 'x' })}\n`],
    ['an id that is a path', `${JSON.stringify({ ...create, id: '../x' })}\n`],
    ['a line that is too long', `${'x'.repeat(MAX_REQUEST_BYTES + 1)}\n`],
  ])('refuses %s', async (_what, text) => {
    expect(await ask(text)).toMatchObject({ ok: false, code: 'ProtocolError' });
  });

  it('aborts the handler’s signal when the client closes, and serves the next one', async () => {
    const [asked, gone] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    handlers.gate = (_request, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          gone.resolve();
          reject(new Error('gone'));
        });
        asked.resolve();
      });
    const socket = net.connect(path, () => {
      socket.write(`${JSON.stringify({ op: 'gate', token: 't', container: 'main', pid: 1 })}\n`);
    });
    await asked.promise;
    socket.destroy();
    await gone.promise;
    expect(await ask(`${JSON.stringify(create)}\n`)).toEqual({ ok: true, action: 'run' });
  });

  it('replaces the socket of an agent that died', async () => {
    const next = new SocketServer(handlers, pino({ level: 'silent' }));
    await next.listen(path);
    expect(await ask(`${JSON.stringify(create)}\n`)).toEqual({ ok: true, action: 'run' });
    await next.close();
  });
});
