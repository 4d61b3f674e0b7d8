// SPDX-License-Identifier: Apache-2.0
// The diagnostics of failures: real files and, where this machine has /dev/kmsg, the kernel's own messages.
import { existsSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Host } from '../host/host.ts';
import type { Entry } from '../../support/journal/journal.ts';
import { RdmaDriver } from '../device/driver.ts';
import { migration, REQUEST_UID } from '../../testing/objects.ts';
import { Diagnostics, MAX_DIRECTORIES } from './diagnostics.ts';
import { kernelLog, parseRecord } from './kernel-log.ts';

class DescribedDriver extends RdmaDriver {
  override async describe(): Promise<object[]> {
    return [{ objects: { qp: [{ lqpn: 17 }] } }];
  }
}

let dir: string;
let diagnostics: Diagnostics;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-diagnostics-'));
  diagnostics = new Diagnostics({
    dir: join(dir, 'failures'),
    nodeName: 'node-a',
    host: new Host({ root: '/' }),
    driver: new DescribedDriver(),
    workRoot: join(dir, 'work'),
    log: pino({ level: 'silent' }),
  });
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

const entry = (id = REQUEST_UID): Entry => ({
  version: 1,
  id,
  role: 'source',
  kind: 'MigrationRequest',
  namespace: 'default',
  name: 'move',
  pod: 'app',
  podUid: 'u',
  stage: 'Freezing',
  netns: '/run/netns/x',
  containers: [],
  steps: [{ name: 'hold', startTime: new Date().toISOString() }],
});

describe('the diagnostics of a failure', () => {
  it('of an agent that died while it wrote them are removed, but not those that are being written', async () => {
    const [old, now] = ['dead-11111111.source.new', 'alive-22222222.source.new'];
    for (const name of [old, now]) await mkdir(join(dir, 'failures', name), { recursive: true });
    const hours = Date.now() / 1000 - 2 * 3600;
    await utimes(join(dir, 'failures', old), hours, hours);
    await diagnostics.sweep();
    expect(await readdir(join(dir, 'failures'))).toEqual([now]);
  });

  it('are named in the message and have logs, objects, entry and request', async () => {
    const work = join(dir, 'work', REQUEST_UID, 'main');
    await mkdir(work, { recursive: true });
    await writeFile(join(work, 'dump.log'), 'x'.repeat(3 << 20) + 'the end');
    await writeFile(join(work, 'stats-dump'), 'no log');
    const restore = join(dir, 'work', REQUEST_UID, 'side', 'c1');
    await mkdir(restore, { recursive: true });
    await writeFile(join(restore, 'restore.log'), 'restored');
    await writeFile(join(restore, 'sealift-restore.json'), '{}');
    await diagnostics.keep(entry(), migration());
    const directory = diagnostics.directory(entry());
    expect(diagnostics.pointTo('no', entry())).toBe(`no (logs: node node-a, ${directory})`);
    expect((await readdir(directory)).sort()).toEqual([
      ...['journal.json', 'kernel.log', 'main.dump.log', 'rdma.json', 'request.json'],
      ...['side.restore.log', 'side.sealift-restore.json'],
    ]);
    const text = (name: string) => readFile(join(directory, name), 'utf8');
    expect(JSON.parse(await text('request.json'))).toEqual(migration());
    expect(JSON.parse(await text('journal.json'))).toMatchObject({ stage: 'Freezing' });
    expect(await text('rdma.json')).toMatch(/17/);
    const log = await text('main.dump.log');
    expect([log.length, log.endsWith('the end')]).toEqual([1 << 20, true]);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
  });

  it('stay as they were first, and only the newest directories stay', async () => {
    await diagnostics.keep(entry(), { first: true });
    await diagnostics.keep(entry(), { second: true });
    const read = () => readFile(join(diagnostics.directory(entry()), 'request.json'), 'utf8');
    expect(await read()).toMatch(/first/);
    const long = new Date(Date.now() - 3_600_000);
    await utimes(diagnostics.directory(entry()), long, long);
    for (let n = 0; n < MAX_DIRECTORIES; n++)
      await diagnostics.keep(entry(`${10_000_000 + n}`), {});
    expect(await readdir(join(dir, 'failures'))).toHaveLength(MAX_DIRECTORIES);
    await expect(read()).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('do not fail the caller when they cannot be written', async () => {
    writeFileSync(join(dir, 'failures'), 'a file');
    await diagnostics.keep(entry(), {});
  });
});

describe('the kernel’s messages', () => {
  it('are records with a time', () => {
    expect(parseRecord('6,339,5140900,-;rxe: device held\n SUBSYSTEM=x\n')).toEqual({
      us: 5_140_900,
      text: 'rxe: device held',
    });
    expect(parseRecord('nonsense')).toBeUndefined();
  });

  it.runIf(process.getuid?.() === 0 && existsSync('/dev/kmsg'))(
    'are read in order and within the limit',
    () => {
      const all = kernelLog(0, 1 << 20);
      const lines = all.trimEnd().split('\n');
      const seconds = lines.map((line) => Number(/^\S+Z \[(\d+\.\d{6})\] /.exec(line)?.[1]));
      expect(seconds).toEqual([...seconds].sort((a, b) => a - b));
      // Each call computes the time anew; the rest is the record's own.
      const own = (text: string) => text.replace(/^\S+Z (?=\[)/gm, '');
      const few = kernelLog(0, 200);
      expect([few.length <= 200, own(all).endsWith(own(few.slice(few.indexOf('\n') + 1)))]).toEqual(
        [true, true],
      );
      const late = kernelLog(Date.now() + 60_000, 1 << 20);
      expect([own(all).endsWith(own(late)), late.split('\n').length <= 101]).toEqual([true, true]);
    },
  );
});
