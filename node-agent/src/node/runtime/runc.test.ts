// SPDX-License-Identifier: Apache-2.0
// What interrupts a dump, and how; and how the agent ends a dump of an agent before it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DeadlineError } from '../../../../kube/src/index.ts';
import { Host, type RunOptions } from '../host/host.ts';
import { Runc } from './runc.ts';

/** Records the options of a run instead of running it. */
class RecordingHost extends Host {
  options: RunOptions = {};
  override run(_program: string, _args: readonly string[], options: RunOptions = {}) {
    this.options = options;
    return Promise.resolve({ status: 0, stdout: '', stderr: '' });
  }
}

const container = { id: 'c', cgroup: '/sys/fs/cgroup/pod/c' };

describe('a dump', () => {
  const begin = async (signal?: AbortSignal) => {
    const host = new RecordingHost({ root: '/' });
    await new Runc(host).checkpoint(container, {
      imagePath: '/i',
      workPath: '/w',
      env: {},
      signal,
    });
    return host.options;
  };

  it('is interrupted for a deadline with the signals that CRIU handles', async () => {
    const stop = new AbortController();
    const { interrupt } = await begin(stop.signal);
    expect(interrupt?.when.aborted).toBe(false);
    stop.abort(new DeadlineError('DumpDeadlineExceeded', 'too long'));
    expect(interrupt?.when.aborted).toBe(true);
    expect(interrupt?.with).toEqual(['SIGCONT', 'SIGALRM']);
  });

  it('is not interrupted when it is not needed: CRIU has its code in the tasks', async () => {
    const stop = new AbortController();
    const { interrupt, signal } = await begin(stop.signal);
    stop.abort();
    expect([interrupt?.when.aborted, signal]).toEqual([false, undefined]);
    expect((await begin()).interrupt?.when.aborted).toBe(false);
  });

  it('that is late before it begins is interrupted at once', async () => {
    const { interrupt } = await begin(AbortSignal.abort(new DeadlineError('X', 'y')));
    expect(interrupt?.when.aborted).toBe(true);
  });
});

describe('a dump of an agent that ran before', () => {
  let root: string;
  let guards: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'sealift-runc-'));
    guards = join(root, 'sys/fs/cgroup/sealift');
    await mkdir(join(guards, 'c'), { recursive: true });
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  /** Stands for a guard in its cgroup. It ends at the signal, or when cgroup.kill is written. */
  async function guard(signal: string): Promise<void> {
    const line =
      'cd "$0"; echo $$ > cgroup.procs; ' +
      `trap "" ALRM CONT; trap "rm -f cgroup.*; exit" ${signal}; echo ready; ` +
      'until [ -e cgroup.kill ]; do sleep 0.05; done; rm -f cgroup.*';
    const child = spawn('sh', ['-c', line, join(guards, 'c')]);
    await once(child.stdout, 'data');
  }
  const ended = () => new Runc(new Host({ root })).endFormerDump('c');

  it('gives up at the signal and leaves nothing', async () => {
    await guard('ALRM');
    expect([await ended(), await readdir(guards)]).toEqual([true, []]);
  });

  it('is killed when it does not give up, and the caller gets an error', async () => {
    await guard('USR1');
    expect([await ended(), await readdir(guards)]).toEqual([false, []]);
  }, 20_000);

  it('may have ended long ago', async () => {
    expect(await ended()).toBe(true);
    expect(await ended()).toBe(true);
    await mkdir(join(guards, 'other'));
    await new Runc(new Host({ root })).removeGuards();
    expect(await readdir(guards)).toEqual([]);
    await rm(guards, { recursive: true });
    await new Runc(new Host({ root })).removeGuards();
  });
});
