// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DiskDirectory } from './journal-directory.ts';
import { Journal, type Entry } from './journal.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-journal-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

const entry = (id: string, more: Partial<Entry> = {}): Entry => ({
  version: 1,
  id,
  role: 'source',
  kind: 'MigrationRequest',
  namespace: 'default',
  name: 'move',
  pod: 'p',
  podUid: 'u',
  stage: 'Holding',
  containers: [{ id: 'c1', name: 'main' }],
  steps: [],
  ...more,
});

it('is read again by the next agent', async () => {
  const { journal } = await Journal.open(dir);
  await journal.put(entry('a'));
  await journal.put(entry('a', { stage: 'Sent' }));
  await journal.put(entry('a', { role: 'target', stage: 'Preparing' }));
  await journal.put(entry('b'));
  await journal.remove('b', 'source');
  await journal.remove('b', 'source');
  const again = await Journal.open(dir);
  expect(again.journal.get('a', 'source')?.stage).toBe('Sent');
  expect(again.journal.get('a', 'target')?.stage).toBe('Preparing');
  expect(again.journal.get('b', 'source')).toBeUndefined();
  expect(again.unreadable).toEqual([]);
});

it('survives a crash in the middle of a write and shows what it cannot read', async () => {
  const { journal } = await Journal.open(dir);
  await journal.put(entry('a'));
  await writeFile(join(dir, 'a.source.json.new'), '{"version":1,"id":"a","ro');
  await writeFile(join(dir, 'torn.source.json'), '{"version":1,');
  const again = await Journal.open(dir);
  expect(again.journal.get('a', 'source')).toEqual(entry('a'));
  expect(again.unreadable).toEqual(['torn.source.json']);
  expect(await readdir(dir)).not.toContain('a.source.json.new');
});

it('knows of an entry that is in its file, though the write has failed', async () => {
  class Unsynchronised extends DiskDirectory {
    fails = 'after';
    override async replace(name: string, text: string): Promise<void> {
      if (this.fails === 'after') await super.replace(name, text);
      throw new Error('EIO');
    }
  }
  const directory = new Unsynchronised(dir);
  const { journal } = await Journal.open(directory);
  await expect(journal.put(entry('a'))).rejects.toThrow('EIO');
  expect(journal.get('a', 'source')).toEqual(entry('a'));
  directory.fails = 'before';
  await expect(journal.put(entry('a', { stage: 'Sent' }))).rejects.toThrow('EIO');
  await expect(journal.put(entry('b'))).rejects.toThrow('EIO');
  expect(journal.get('a', 'source')).toEqual(entry('a'));
  expect(journal.get('b', 'source')).toBeUndefined();
});

describe('on a disk that takes nothing', () => {
  class Full extends DiskDirectory {
    isFull = false;
    override async replace(name: string, text: string): Promise<void> {
      if (this.isFull) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
      return super.replace(name, text);
    }
  }

  it('counts for this process what may not wait, and is whole on the disk with the next write', async () => {
    const directory = new Full(dir);
    const { journal } = await Journal.open(directory);
    expect(await journal.putIfPossible(entry('a'))).toBe(true);
    directory.isFull = true;
    expect(await journal.putIfPossible(entry('a', { stage: 'Stopping' }))).toBe(false);
    expect(journal.get('a', 'source')?.stage).toBe('Stopping');
    expect((await Journal.open(dir)).journal.get('a', 'source')?.stage).toBe('Holding');
    directory.isFull = false;
    await journal.change('a', 'source', (now) => ({ ...now!, reason: 'Why' }));
    expect((await Journal.open(dir)).journal.get('a', 'source')).toMatchObject({
      ...{ stage: 'Stopping', reason: 'Why' },
    });
  });

  it('takes nothing that the next agent could not read', async () => {
    const { journal } = await Journal.open(new Full(dir));
    const wrong = entry('a', { stage: 'nowhere' as 'Sent' });
    await expect(journal.putIfPossible(wrong)).rejects.toThrow();
    expect(journal.get('a', 'source')).toBeUndefined();
  });
});

it('refuses to write what it could not read', async () => {
  const { journal } = await Journal.open(dir);
  await expect(journal.put(entry('a', { stage: 'nowhere' as 'Sent' }))).rejects.toThrow();
  expect(journal.get('a', 'source')).toBeUndefined();
});

it('lets no other request be at work on a pod that its agent may resume once more', async () => {
  const { journal } = await Journal.open(dir);
  await journal.put(entry('a', { role: 'target', stage: 'AtResumeGate' }));
  expect(journal.claim('u', 'b')).toBe(true);
  journal.unclaim('u', 'b');
  await journal.put(entry('a', { role: 'target', stage: 'Resuming' }));
  expect(journal.claim('u', 'b')).toBe(false);
  expect(journal.busyWith('u', 'b')).toMatchObject({ id: 'a' });
  expect(journal.busyWith('u', 'a')).toBeUndefined();
  await journal.put(entry('a', { role: 'target', stage: 'Running' }));
  expect(journal.claim('u', 'b')).toBe(true);
});

it('lets one request at a time be at work on a pod', async () => {
  const { journal } = await Journal.open(dir);
  expect(journal.claim('u', 'a')).toBe(true);
  expect(journal.claim('u', 'b'), 'before anything is written').toBe(false);
  expect(journal.claim('another', 'b')).toBe(true);
  journal.unclaim('u', 'b');
  expect(journal.claim('u', 'b'), 'not its own').toBe(false);
  await journal.put(entry('a'));
  const { journal: next } = await Journal.open(dir);
  for (const one of [journal, next]) {
    expect(one.claim('u', 'a'), 'its own').toBe(true);
    expect(one.claim('u', 'b')).toBe(false);
  }
  await journal.put(entry('a', { stage: 'Resumed' }));
  expect(journal.claim('u', 'b')).toBe(true);
  expect(journal.claim('u', 'c')).toBe(false);
  journal.unclaim('u', 'b');
  expect(journal.claim('u', 'c')).toBe(true);
  await journal.put(entry('c', { role: 'checkpoint', stage: 'Dumping' }));
  expect(journal.claim('u', 'd')).toBe(false);
  await journal.remove('c', 'checkpoint');
  expect(journal.claim('u', 'd')).toBe(true);
});
