// SPDX-License-Identifier: Apache-2.0
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installRelease } from './release.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-release-'));
});
afterEach(() => rm(dir, { recursive: true }));

async function install(content: string): Promise<string> {
  const bundle = join(dir, 'bundle');
  await rm(bundle, { recursive: true, force: true });
  await mkdir(join(bundle, 'bin'), { recursive: true });
  await writeFile(join(bundle, 'bin', 'criu'), content);
  return installRelease(bundle, join(dir, 'opt'));
}

const kept = () => readdir(join(dir, 'opt', 'releases'));

describe('releases of the node’s programs', () => {
  it('are linked, and the one before is kept', async () => {
    const first = await install('1');
    const second = await install('2');
    expect(await readFile(join(dir, 'opt', 'bin', 'criu'), 'utf8')).toBe('2');
    expect((await kept()).sort()).toEqual([first, second].sort());
    const third = await install('3');
    expect((await kept()).sort()).toEqual([second, third].sort());
  });

  it('are kept when the agent only restarts: a dump may still run from the one before', async () => {
    const first = await install('1');
    const second = await install('2');
    expect(await install('2')).toBe(second);
    expect(await install('2')).toBe(second);
    expect((await kept()).sort()).toEqual([first, second].sort());
  });
});
