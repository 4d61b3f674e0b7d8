// SPDX-License-Identifier: Apache-2.0
// Against real containerds with a state of their own, and against what is none. real-containerd.test.ts says where they are from.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eachContainerd } from '../../testing/containerds.ts';
import { criAnswers } from './cri.ts';

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'cri-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const socket = (): string => join(dir, 'c.sock');

describe('what is no containerd', () => {
  it('does not answer: no socket', async () => {
    await expect(criAnswers(socket(), 0)).rejects.toThrow('ENOENT');
  });

  it('does not answer: something else listens', async () => {
    const server = createServer((client) => client.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    server.listen(socket());
    await once(server, 'listening');
    await expect(criAnswers(socket(), 0)).rejects.toMatchObject({ code: 'RuntimeFailed' });
    server.close();
  });
});

/** containerd makes directories that nobody else may enter. */
const unable = process.getuid?.() === 0 ? undefined : 'containerd needs root';

eachContainerd(unable)('containerd %s', { timeout: 60_000 }, (_, program) => {
  let started: ChildProcess;
  const start = async (defaultRuntime: string): Promise<void> => {
    const cri = 'plugins."io.containerd.grpc.v1.cri"';
    const config = `version = 2
root = "${dir}/root"
state = "${dir}/state"
[grpc]
  address = "${socket()}"
[ttrpc]
  address = "${dir}/t.sock"
[${cri}.containerd]
  default_runtime_name = "${defaultRuntime}"
  snapshotter = "native"
[${cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[${cri}.cni]
  conf_dir = "${dir}/cni"
`;
    await writeFile(join(dir, 'config.toml'), config);
    started = spawn(program, ['--config', join(dir, 'config.toml')], { stdio: 'pipe' });
    let log = '';
    await new Promise<void>((resolve) => {
      started.stderr?.on('data', (chunk: Buffer) => {
        log += chunk.toString('utf8');
        if (log.includes('successfully booted')) resolve();
      });
      started.once('exit', () => resolve());
    });
    expect(log).toContain('successfully booted');
  };
  afterEach(async () => {
    const ended = once(started, 'exit');
    started.kill('SIGKILL');
    await ended;
  });

  it('answers', async () => {
    await start('runc');
    await criAnswers(socket(), 20_000);
  });

  it('does not answer without its CRI plugin, although it runs', async () => {
    await start('gone');
    await expect(criAnswers(socket(), 1000)).rejects.toMatchObject({
      code: 'RuntimeFailed',
      message: expect.stringContaining('unknown service') as string,
    });
  });
});
