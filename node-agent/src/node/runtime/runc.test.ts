// SPDX-License-Identifier: Apache-2.0
// What interrupts a dump, and how; and how the agent ends a dump of an agent before it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DeadlineError } from '../../../../kube/src/index.ts';
import { Host, type RunOptions } from '../host/host.ts';
import { Runc } from './runc.ts';

/** Records the options of a run instead of running it, and reports as CRIU's plugin does. */
class RecordingHost extends Host {
  options: RunOptions = {};
  status = 0;
  report: object | undefined;
  override async run(_program: string, _args: readonly string[], options: RunOptions = {}) {
    this.options = options;
    const file = options.env?.['SEALIFT_STATE'];
    if (file !== undefined && this.report !== undefined)
      await writeFile(this.path(file), `${JSON.stringify(this.report)}\n`);
    return { status: this.status, stdout: '', stderr: '' };
  }
}

const container = { id: 'c', cgroup: '/sys/fs/cgroup/pod/c' };

describe('a dump', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'sealift-dump-'));
    for (const path of ['w', 'i']) await mkdir(join(root, path));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  const begin = async (
    signal?: AbortSignal,
    status = 0,
    report: object | undefined = status === 0
      ? { state: 'dumped' }
      : { state: 'failed', code: 'criu' },
  ) => {
    const host = new RecordingHost({ root });
    host.status = status;
    host.report = report;
    await new Runc(host).checkpoint(container, {
      imagePath: '/i',
      workPath: '/w',
      env: {},
      signal,
    });
    return host.options;
  };

  it.each([
    ['a deadline', new DeadlineError('DumpDeadlineExceeded', 'too long')],
    ['a decision', undefined],
  ])(
    'is given up at %s: by its guard at once, else by the signals that CRIU handles',
    async (_why, why) => {
      const stop = new AbortController();
      const { interrupt, signal } = await begin(stop.signal);
      expect([interrupt?.when.aborted, signal]).toEqual([false, undefined]);
      stop.abort(why);
      expect(interrupt?.when.aborted).toBe(true);
      expect(interrupt?.ask).toEqual([
        { afterMs: 0, whom: 'program', with: ['SIGALRM'] },
        { afterMs: 1000, whom: 'all', with: ['SIGCONT', 'SIGALRM'] },
      ]);
    },
  );

  // The limit came first, or the decision did: either interrupts it, and whatever comes second changes nothing.
  it('that is late before it begins is given up at once', async () => {
    const { interrupt } = await begin(AbortSignal.abort(new DeadlineError('X', 'y')));
    expect(interrupt?.when.aborted).toBe(true);
  });

  it('that nobody can give up has no interrupt', async () => {
    expect((await begin()).interrupt).toBeUndefined();
  });

  it('that was given up is no failure of CRIU, and one that has ended before is whole', async () => {
    const given = begin(AbortSignal.abort(), 1);
    await expect(given).rejects.toMatchObject({ code: 'Aborted' });
    await expect(begin(undefined, 1)).rejects.toMatchObject({ code: 'CheckpointFailed' });
    await expect(begin(AbortSignal.abort(), 0)).resolves.toBeDefined();
  });

  // CRIU asks for the plugin's last step when it cannot fail any more: the step's failure is in the report alone.
  it('is not whole before its plugin says so, whatever CRIU says', async () => {
    const report = { state: 'failed', code: 'image-write', message: 'files.img: No space left' };
    await expect(begin(undefined, 0, report)).rejects.toMatchObject({
      code: 'CheckpointFailed',
      message: expect.stringContaining('files.img: No space left') as string,
    });
    await writeFile(join(root, 'w/sealift-dump.json'), '{"state":"dumped"}\n');
    const silent = new RecordingHost({ root });
    await expect(
      new Runc(silent).checkpoint(container, { imagePath: '/i', workPath: '/w', env: {} }),
    ).rejects.toMatchObject({ code: 'CheckpointFailed' });
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
  async function guard(signal: string, shell = 'sh'): Promise<void> {
    const line =
      'cd "$0"; echo $$ > cgroup.procs; ' +
      `trap "" ALRM CONT; trap "rm -f cgroup.*; exit" ${signal}; echo ready; ` +
      'until [ -e cgroup.kill ]; do sleep 0.05; done; rm -f cgroup.*';
    const child = spawn(shell, ['-c', line, join(guards, 'c')]);
    await once(child.stdout, 'data');
  }
  const ended = () => new Runc(new Host({ root })).endFormerDump('c');

  it('gives up at the signal and leaves nothing', async () => {
    await guard('ALRM');
    expect([await ended(), await readdir(guards)]).toEqual([true, []]);
  });

  it('is not signalled itself while its guard makes it give up', async () => {
    const named = join(root, 'sealift-guard');
    await copyFile('/bin/sh', named);
    await guard('ALRM', named);
    // Beside it, what ends at a signal that it does not expect.
    const other = spawn('sleep', ['60']);
    await appendFile(join(guards, 'c/cgroup.procs'), `${other.pid}\n`);
    expect([await ended(), await readdir(guards)]).toEqual([true, []]);
    expect([other.signalCode, other.kill()]).toEqual([null, true]);
  });

  it('is signalled itself if its guard knows nothing of that', async () => {
    const named = join(root, 'sealift-guard');
    await copyFile('/bin/sh', named);
    await guard('CONT', named);
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
