// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { expect, it } from 'vitest';
import { agentDnsName } from '../../../crds/src/index.ts';
import { readConfig } from '../support/config.ts';
import { certificates } from '../testing/certificates.ts';
import { nodeOperations } from './operations.ts';

const connects = async (host: string, port: number): Promise<boolean> => {
  const socket = connect({ host, port });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
};

it('the receiver listens on the node’s own address and on no other', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'sealift-operations-'));
  const tls = await certificates(dir, { ca: 'ca', san: agentDnsName('node-a') });
  const config = readConfig({
    ...{ NODE_NAME: 'node-a', NODE_IP: '127.0.0.2', SEALIFT_PORT: '0', SEALIFT_TLS_DIR: tls },
  });
  const receiver = nodeOperations(config, '0', pino({ level: 'silent' })).receiver({
    expected: () => undefined,
    started: () => undefined,
    received: () => undefined,
    failed: () => undefined,
  });
  try {
    const port = Number(await receiver.listen());
    expect(await connects('127.0.0.2', port)).toBe(true);
    expect(await connects('127.0.0.1', port)).toBe(false);
  } finally {
    await receiver.close();
    await rm(dir, { recursive: true });
  }
});
