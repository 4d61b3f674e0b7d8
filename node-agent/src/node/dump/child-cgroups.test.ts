// SPDX-License-Identifier: Apache-2.0
// Real cgroups, where this machine has the unified hierarchy and lets one be made.
import { spawn, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Host } from '../host/host.ts';
import { reasonOfChildCgroups } from './child-cgroups.ts';
import { UnmovableFiles } from './unmovable.ts';

let mounted: string;
let own: string;
const isMounted =
  process.getuid?.() === 0 && spawnSync('grep', ['cgroup2', '/proc/filesystems']).status === 0;
beforeAll(async () => {
  mounted = await mkdtemp(join(tmpdir(), 'sealift-cgroups-'));
  if (isMounted) expect(spawnSync('mount', ['-t', 'cgroup2', 'cgroup2', mounted]).status).toBe(0);
});
afterAll(async () => {
  if (isMounted) spawnSync('umount', ['-l', mounted]);
  await rm(mounted, { recursive: true });
});
beforeEach(async () => {
  own = join(mounted, `sealift-test-${process.pid}`);
  await mkdir(own);
});
afterEach(() => rmdir(own));

describe.runIf(isMounted)('cgroups that a container has made', () => {
  it('are none in its own, nor in one that is gone', async () => {
    expect(await reasonOfChildCgroups('main', own)).toBeUndefined();
    expect(await reasonOfChildCgroups('main', join(own, 'gone'))).toBeUndefined();
  });

  it('are named, with how many processes they have', async () => {
    const child = spawn('sleep', ['1000']);
    await mkdir(join(own, 'job/inner'), { recursive: true });
    try {
      expect(await reasonOfChildCgroups('main', own)).toMatch(
        /\(job, job\/inner, with 0 processes\)/,
      );
      await writeFile(join(own, 'job/inner/cgroup.procs'), String(child.pid));
      expect(await reasonOfChildCgroups('main', own)).toMatch(
        /^Container main has made cgroups below its own \(job, job\/inner, with 1 process\), .*rmdir/,
      );
      const files = new UnmovableFiles(new Host({ root: '/' }), {
        sockets: async () => [],
        unshared: async () => [],
      });
      await expect(files.check([{ name: 'main', cgroup: own }])).rejects.toMatchObject({
        code: 'UnsupportedObject',
        message: expect.stringMatching(/^Container main has made cgroups/) as string,
      });
    } finally {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
      for (const name of ['job/inner', 'job']) await rmdir(join(own, name));
    }
  });

  it('are not all listed if there are many', async () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    for (const name of names) await mkdir(join(own, name));
    try {
      expect(await reasonOfChildCgroups('main', own)).toMatch(/\(a, b, c, d, e and 2 more, with 0/);
    } finally {
      for (const name of names) await rmdir(join(own, name));
    }
  });
});
