// SPDX-License-Identifier: Apache-2.0
// A dump that was started ahead: waited for, begun, given up, or ended by itself.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { DeadlineError } from '../../../../kube/src/index.ts';
import { AheadDump } from './ahead-dump.ts';

let dir: string;
let file: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-ahead-'));
  file = join(dir, 'begin');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const waiting = (): Promise<void> => writeFile(`${file}.waits`, '');

/** Programs that end as the test says, and what they were told. */
function programs() {
  const end = Promise.withResolvers<void>();
  const told: { interrupt?: AbortSignal; kill?: AbortSignal } = {};
  const dump = new AheadDump(file, (signals) => {
    Object.assign(told, signals);
    signals.kill.addEventListener('abort', () => end.reject(new Error('killed')));
    return end.promise;
  });
  return { dump, told, end };
}

it('is usable as soon as CRIU waits, also if it has waited before anybody looked', async () => {
  const { dump } = programs();
  expect(await dump.isUsable()).toBe(false);
  const waits = dump.waits(20_000);
  await writeFile(join(dir, 'dump.log'), 'x');
  await sleep(20);
  await waiting();
  expect([await waits, await dump.isUsable()]).toEqual([true, true]);
  expect(await dump.waits(20_000)).toBe(true);
});

it('is not usable if its programs have ended, or do not get that far in time', async () => {
  const { dump, end } = programs();
  expect(await dump.waits(50)).toBe(false);
  const waits = dump.waits(20_000);
  end.reject(new Error('no criu'));
  expect(await waits).toBe(false);
  await waiting();
  expect(await dump.isUsable(), 'it has waited and has ended').toBe(false);
});

it('is not usable when it has waited for long: the plugin gives up', async () => {
  const { dump } = programs();
  await waiting();
  const now = performance.now();
  vi.spyOn(performance, 'now').mockReturnValue(now + 61_000);
  expect(await dump.isUsable()).toBe(false);
  vi.restoreAllMocks();
});

it('begins when it is told to, and ends as its programs do', async () => {
  const { dump, end } = programs();
  await waiting();
  const dumped = dump.begin(undefined);
  await expect.poll(() => existsSync(file)).toBe(true);
  end.resolve();
  await dumped;
  const other = programs();
  const failed = other.dump.begin(undefined);
  other.end.reject(new Error('no space'));
  await expect(failed).rejects.toThrow('no space');
});

it('is interrupted for what its signal aborts for, also if that was before', async () => {
  const reason = new DeadlineError('DumpDeadlineExceeded', 'late');
  for (const signal of [AbortSignal.abort(reason), AbortSignal.timeout(20)]) {
    const { dump, told, end } = programs();
    const dumped = dump.begin(signal);
    await expect.poll(() => told.interrupt?.aborted).toBe(true);
    if (signal.reason === reason) expect(told.interrupt?.reason).toBe(reason);
    expect(told.kill?.aborted, 'CRIU may have its code in the tasks').toBe(false);
    end.resolve();
    await dumped;
  }
});

it('that is given up ends its programs, and is not begun', async () => {
  const { dump, told } = programs();
  await waiting();
  await dump.giveUp();
  expect([told.kill?.aborted, existsSync(file), await dump.isUsable()]).toEqual([
    true,
    false,
    false,
  ]);
});

it('finds nothing that an earlier attempt has left', async () => {
  await waiting();
  await writeFile(file, '');
  await AheadDump.clear(file);
  expect([existsSync(file), existsSync(`${file}.waits`)]).toEqual([false, false]);
  await AheadDump.clear(file);
});

it('that was not seen to wait is asked to end, not killed: it may have begun by itself', async () => {
  const { dump, told, end } = programs();
  const ended = dump.giveUp();
  await expect.poll(() => told.interrupt?.aborted).toBe(true);
  end.reject(new Error('asked'));
  await ended;
  expect(told.kill?.aborted).toBe(false);
});

it('that has begun is not given up', async () => {
  const { dump, told, end } = programs();
  await waiting();
  const dumped = dump.begin(undefined);
  await dump.giveUp();
  expect([told.kill?.aborted, told.interrupt?.aborted]).toEqual([false, false]);
  end.resolve();
  await dumped;
});
