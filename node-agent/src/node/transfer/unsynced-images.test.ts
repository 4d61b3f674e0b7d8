// SPDX-License-Identifier: Apache-2.0
// Received images before and after they are synced: what a restarted agent and the next boot make of them. Real files.
import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import tar from 'tar-stream';
import { beforeEach, expect, it } from 'vitest';
import { manifestHeader, TestDirectories } from '../../testing/images.ts';
import { bootId } from '../host/boot-id.ts';
import { PlainFiles } from './image-files.ts';
import { ImageStore } from './image-store.ts';
import { packImages } from './image-stream.ts';

const directories = new TestDirectories();
/** The name that a manifest has in this boot before it is synced. */
const unsynced = `manifest.json.boot-${bootId()}`;
let root: string;
let store: ImageStore;
beforeEach(async () => {
  root = await directories.fresh();
  store = new ImageStore(root);
  const pack = tar.pack();
  const receiving = store.receive('one', pack.pipe(new PassThrough()));
  await packImages(new PlainFiles(await directories.sample()), manifestHeader('one'), pack);
  await receiving;
});

const manifests = async (): Promise<string[]> =>
  (await readdir(join(root, 'one'))).filter((name) => name.startsWith('manifest'));

it('they count at once, and have the manifest’s own name once they are synced', async () => {
  expect((await store.manifest('one'))?.manifest.id).toBe('one');
  await store.persist('one');
  expect(await manifests()).toEqual(['manifest.json']);
  expect((await store.manifest('one'))?.manifest.id).toBe('one');
  await store.persist('one');
});

it('a restarted agent knows them and syncs them', async () => {
  await store.persist('one');
  // As if the first agent had ended before.
  await rename(join(root, 'one', 'manifest.json'), join(root, 'one', unsynced));
  const restarted = new ImageStore(root);
  expect((await restarted.manifest('one'))?.manifest.id).toBe('one');
  await restarted.persist('one');
  expect(await manifests()).toEqual(['manifest.json']);
});

it('after the next boot, those that were not synced do not count: their files may be empty', async () => {
  await store.persist('one');
  const former = unsynced.replace(/boot-.*/, 'boot-of-before');
  await rename(join(root, 'one', 'manifest.json'), join(root, 'one', former));
  expect(await store.manifest('one')).toBeUndefined();
  await expect(store.persist('one')).rejects.toMatchObject({ code: 'CheckpointNotFound' });
});

it('images that are gone cannot be synced, so that nothing is committed without them', async () => {
  await store.remove('one');
  await expect(store.persist('one')).rejects.toMatchObject({ code: 'CheckpointNotFound' });
});
