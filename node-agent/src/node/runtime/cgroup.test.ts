// SPDX-License-Identifier: Apache-2.0
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Cgroup, findCgroup } from './cgroup.ts';

describe('a container’s cgroup', () => {
  it.each([
    'kubepods/besteffort/podu/0123abc',
    'kubepods.slice/kubepods-podu.slice/cri-containerd-0123abc.scope',
  ])('is found by the container’s id, and its tasks are frozen and killed: %s', async (path) => {
    const dir = await mkdtemp(join(tmpdir(), 'sealift-cgroup-'));
    const own = join(dir, path);
    await mkdir(own, { recursive: true });
    await mkdir(join(dir, 'kubepods', 'other'), { recursive: true });
    expect(await findCgroup(dir, '0123abc')).toBe(own);
    expect(await findCgroup(dir, 'fff')).toBeUndefined();
    expect(await findCgroup(dir, '')).toBeUndefined();
    expect(await findCgroup(join(dir, 'gone'), '0123abc')).toBeUndefined();
    await new Cgroup(own).killFrozen();
    const written = ['cgroup.freeze', 'cgroup.kill'].map((name) =>
      readFile(join(own, name), 'utf8'),
    );
    expect(await Promise.all(written)).toEqual(['1', '1']);
    await new Cgroup(join(dir, 'gone')).killFrozen();
    await rm(dir, { recursive: true });
  });

  it('with a task that cannot be frozen is waited for, but not once it need not be frozen any more', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'sealift-cgroup-'));
    await writeFile(join(dir, 'cgroup.events'), 'populated 1\nfrozen 0\n');
    const stop = new AbortController();
    const freezing = new Cgroup(dir).freeze(stop.signal);
    freezing.catch(() => undefined);
    await sleep(50);
    expect(await Promise.race([freezing, Promise.resolve('waits')])).toBe('waits');
    stop.abort();
    await expect(freezing).rejects.toMatchObject({ code: 'Aborted' });
    await rm(dir, { recursive: true });
  });
});
