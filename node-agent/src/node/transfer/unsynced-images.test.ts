// SPDX-License-Identifier: Apache-2.0
// Received images before and after they are synced: what a restarted agent and the next boot make of them. Real files.
import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { beforeEach, expect, it } from 'vitest';
import { gathered, manifestHeader, TestDirectories } from '../../testing/images.ts';
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
  const { sink, bytes } = gathered();
  await packImages(new PlainFiles(await directories.sample()), manifestHeader('one'), sink);
  await store.receive('one', Readable.from([bytes()]));
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
  const booted = new ImageStore(root);
  expect(await booted.manifest('one')).toBeUndefined();
  await expect(booted.persist('one')).rejects.toMatchObject({ code: 'CheckpointNotFound' });
});

it('images that the disk has refused once count for nothing, however often they are asked for', async () => {
  // As fsync of a page that could not be written: it fails once, and succeeds without the page from then on.
  let refusals = 1;
  class Refusing extends ImageStore {
    protected override async syncFiles(): Promise<void> {
      if (refusals-- > 0) throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
    }
  }
  await store.persist('one');
  await rename(join(root, 'one', 'manifest.json'), join(root, 'one', unsynced));
  const refusing = new Refusing(root);
  await expect(refusing.persist('one')).rejects.toMatchObject({ code: 'ImageCorrupt' });
  expect(await refusing.manifest('one')).toBeUndefined();
  await expect(refusing.persist('one')).rejects.toMatchObject({ code: 'CheckpointNotFound' });
});

it('images that are gone cannot be synced, so that nothing is committed without them', async () => {
  await store.remove('one');
  await expect(store.persist('one')).rejects.toMatchObject({ code: 'CheckpointNotFound' });
});
