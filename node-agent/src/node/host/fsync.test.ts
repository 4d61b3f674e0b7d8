// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { mkdtemp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CniStateSync, syncCniState, syncTree } from './fsync.ts';
import { Host } from './host.ts';

describe('syncTree', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sealift-durable-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('does nothing where CNI has no records', async () => {
    const host = new Host({ root: directory });
    await expect(syncCniState(host)).resolves.toBeUndefined();
    await expect(syncTree(join(directory, 'none'))).rejects.toThrow('ENOENT');
  });

  it('goes through directories and skips what is not a file: a pipe would block it', async () => {
    await mkdir(join(directory, 'results'));
    await writeFile(join(directory, 'results', 'net-eth0'), '{}');
    await symlink('/nowhere', join(directory, 'dangling'));
    execFileSync('mkfifo', [join(directory, 'pipe')]);
    await syncTree(directory);
    expect(await readFile(join(directory, 'results', 'net-eth0'), 'utf8')).toBe('{}');
  });

  it('fails for what is not a directory', async () => {
    await writeFile(join(directory, 'file'), '');
    await expect(syncTree(join(directory, 'file'))).rejects.toThrow('ENOTDIR');
  });

  it('syncs CNI’s records once for each sandbox, and again if that has failed', async () => {
    let fails = true;
    let synced = 0;
    const sync = new CniStateSync(async () => {
      synced++;
      if (fails) throw new Error('the disk');
    });
    await expect(sync.forSandbox('a')).rejects.toThrow('the disk');
    fails = false;
    await Promise.all([sync.forSandbox('a'), sync.forSandbox('a')]);
    await sync.forSandbox('a');
    expect(synced).toBe(2);
    await sync.forSandbox('b');
    expect(synced).toBe(3);
  });
});
