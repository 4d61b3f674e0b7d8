// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ImageStore } from '../node/transfer/image-store.ts';
import { checkDiskRoom, diskRefusal } from './disk-room.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-room-'));
});
afterAll(() => rm(dir, { recursive: true }));

it('goes by what the disk of the images has left for everybody', async () => {
  const { bavail, bsize, blocks } = await statfs(dir);
  const free = (await new ImageStore(dir).freeBytes()) ?? 0;
  // Others write meanwhile.
  expect(Math.abs(free - bavail * bsize)).toBeLessThan(2 ** 30);
  const store = new ImageStore(dir);
  expect(await diskRefusal(store, 'a', 0)).toBeUndefined();
  await expect(checkDiskRoom(store, 'a', 2 * blocks * bsize)).rejects.toMatchObject({
    code: 'DiskFull',
    message: expect.stringMatching(/^The disk of node a has \d+ MiB free below/) as string,
  });
});

it('refuses nothing where it cannot tell', async () => {
  const store = new ImageStore(join(dir, 'absent'));
  expect(await store.freeBytes()).toBeUndefined();
  await checkDiskRoom(store, 'a', Number.MAX_SAFE_INTEGER);
});

it('leaves some room for the journal', async () => {
  const has = (free: number) => ({ freeBytes: async () => free });
  expect(await diskRefusal(has(64 * 2 ** 20), 'a', 1)).toMatch(/64 MiB free .* at least 1 MiB/);
  expect(await diskRefusal(has(65 * 2 ** 20), 'a', 2 ** 20)).toBeUndefined();
});
