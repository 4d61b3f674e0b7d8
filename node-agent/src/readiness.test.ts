// SPDX-License-Identifier: Apache-2.0
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readyChecks } from './readiness.ts';

describe('the agent is ready', () => {
  let directory: string;
  let server: Server;
  const path = (name: string): string => join(directory, name);
  const files = [
    ...['opt/bin/sealift-runc', 'opt/bin/runc', 'opt/bin/criu'],
    ...['opt/lib/criu/ibverbs_plugin.so', 'cni/sealift'],
  ];

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'sealift-ready-'));
    for (const name of files) {
      mkdirSync(dirname(path(name)), { recursive: true });
      writeFileSync(path(name), '');
      chmodSync(path(name), 0o755);
    }
    server = createServer();
    await new Promise<void>((resolve) => server.listen(path('agent.sock'), resolve));
  });
  afterEach(async () => {
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true, force: true });
  });

  async function problems(more: object = {}): Promise<Record<string, string>> {
    const checks = readyChecks({
      config: {
        ...{ installDir: path('opt'), cniBinDir: path('cni'), socketPath: path('agent.sock') },
      },
      requestsProblem: () => undefined,
      leaseProblem: () => undefined,
      nodeProblem: () => undefined,
      certificateProblem: () => undefined,
      ...more,
    });
    const out: Record<string, string> = {};
    for (const [name, check] of Object.entries(checks)) {
      const why = await check();
      if (why !== undefined) out[name] = why;
    }
    return out;
  }

  it('when everything is there', async () => {
    expect(await problems()).toEqual({});
  });

  it.each(files)('not without %s', async (name) => {
    rmSync(path(name));
    expect((await problems())['files']).toContain(path(name));
  });

  it('without any file on a node that takes none: an update must not wait for it', async () => {
    rmSync(path('opt'), { recursive: true });
    expect(await problems({ takesNoFiles: async () => true })).toEqual({});
    expect(Object.keys(await problems({ takesNoFiles: async () => false }))).toEqual(['files']);
  });

  it('not with a program that cannot be executed', async () => {
    chmodSync(path('opt/bin/criu'), 0o644);
    expect((await problems())['files']).toContain('criu');
  });

  it('not without its socket', async () => {
    rmSync(path('agent.sock'));
    expect((await problems())['socket']).toContain('no socket');
    writeFileSync(path('agent.sock'), '');
    expect((await problems())['socket']).toContain('is no socket');
  });

  it('not without requests, API server or what a node needs', async () => {
    const found = await problems({
      requestsProblem: () => 'Pod is not listed yet.',
      leaseProblem: () => 'silent',
      nodeProblem: () => 'no module',
    });
    expect(Object.keys(found)).toEqual(['requests', 'API server', 'node']);
  });
});
