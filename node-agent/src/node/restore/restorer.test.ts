// SPDX-License-Identifier: Apache-2.0
// What CRIU is given of a checkpoint that this node stores: decrypted images, verified, in the request's own directory.
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { KEY_2026, MountedKeys, randomKey } from '../../testing/image-keys.ts';
import { manifestHeader, TestDirectories, writeImages } from '../../testing/images.ts';
import { cpuFeatures } from '../host/cpu-features.ts';
import { ImageStore } from '../transfer/image-store.ts';
import { digestOf, formatManifest } from '../transfer/manifest.ts';
import type { RestoredControl } from './restored-container.ts';
import { Restorer, type RestoreOptions, type RestorerParts } from './restorer.ts';

vi.mock('../../../../native/addon/index.ts', () => ({ endTcpOrphans: async () => undefined }));

const directories = new TestDirectories();
let root: string;
let store: ImageStore;
let mounted: MountedKeys;
let restorer: Restorer;
let digest: string;

/** Without a node: it only looks into the store. */
class StoreRestorer extends Restorer {
  protected override async unpackFiles(): Promise<void> {}
}

async function makeStore(isOn: boolean, versions: object = {}): Promise<void> {
  root = await directories.fresh();
  store = new ImageStore(root, { isOn, keys: mounted.keys });
  await store.createDirectory('c1', 'other');
  await writeImages(store.dir('c1'));
  const { versions: own, ...rest } = manifestHeader('c1');
  const header = { ...rest, versions: { ...own, ...versions } };
  digest = digestOf(formatManifest(await store.seal('c1', header)));
  const nothing = async () => undefined;
  const freezer: RestoredControl = {
    ...{ refuseExec: nothing, freeze: nothing, thaw: nothing, killFrozen: nothing },
    resetConnections: nothing,
    state: async () => 'Frozen',
  };
  const parts = {
    store,
    driver: {
      interfaces: async () => [],
      hide: async () => undefined,
      hold: async () => undefined,
      devices: async () => [],
    },
    lock: { lock: async () => undefined },
    editor: {
      netns: async () => '/run/netns/x',
      addDevices: async () => undefined,
      coverEnvironment: async () => ({}),
    },
    workRoot: '/work',
    socketPath: '/socket',
  };
  restorer = new StoreRestorer(parts as unknown as RestorerParts, freezer);
}
const verify = (): Promise<void> =>
  restorer.verifyImages({ requestUid: 'r1', imageId: 'c1', digest });
async function imagePath(): Promise<string> {
  const create = { id: 'x', bundle: '/b', container: 'main', containers: ['main'] };
  const options = {
    requestUid: 'r1',
    imageId: 'c1',
    create,
    request: 'RestoreRequest team/again',
    podFiles: false,
  } as unknown as RestoreOptions;
  const reply = await restorer.prepareRestore(options);
  return 'imagePath' in reply ? reply.imagePath : '';
}

beforeEach(async () => {
  mounted = new MountedKeys(await directories.fresh());
  await mounted.mount({ [KEY_2026]: randomKey() });
});

describe('a checkpoint of this node', () => {
  it('that is encrypted is decrypted once, for all containers', async () => {
    await makeStore(true);
    await verify();
    expect((await readdir(root)).sort()).toEqual(['c1', 'r1']);
    const first = await readFile(join(root, 'r1', 'main', 'pages-1.img'));
    expect(first).toHaveLength(300_000);
    expect(await imagePath()).toBe(join(root, 'r1', 'main'));
    // A container that asks next must find the files that the first one has open.
    await writeFile(join(root, 'r1', 'seen'), '');
    expect(await imagePath()).toBe(join(root, 'r1', 'main'));
    expect(await readdir(join(root, 'r1'))).toContain('seen');
  });

  it('is decrypted again where a crash has left nothing, or half of it', async () => {
    await makeStore(true);
    await verify();
    await rm(join(root, 'r1'), { recursive: true });
    expect(await imagePath()).toBe(join(root, 'r1', 'main'));
    await writeFile(join(root, 'r1', 'main', 'pages-1.img'), 'half');
    await verify();
    expect(await readFile(join(root, 'r1', 'main', 'pages-1.img'))).toHaveLength(300_000);
  });

  it('from before encryption is verified and restored where it is', async () => {
    await makeStore(false);
    await verify();
    expect(await imagePath()).toBe(join(root, 'c1', 'main'));
    expect(await readdir(root)).toEqual(['c1']);
  });

  it('is restored only on a CPU that has the features of the one that it was made on', async () => {
    await makeStore(false, { cpuFeatures: (await cpuFeatures()) ?? '' });
    await verify();
    expect(await imagePath()).toBe(join(root, 'c1', 'main'));
    await makeStore(false, { cpuFeatures: 'avx9000 sse2' });
    await verify();
    await expect(imagePath()).rejects.toMatchObject({
      code: 'CpuIncompatible',
      message: expect.stringContaining('avx9000') as string,
    });
  });

  it('fails for the key’s sake, for a damaged disk’s, or for another digest', async () => {
    await makeStore(true);
    await mounted.mount({});
    await expect(verify()).rejects.toMatchObject({ code: 'ImageKeyMissing' });
    await mounted.mount({ [KEY_2026]: randomKey() });
    await expect(verify()).rejects.toMatchObject({ code: 'ImageKeyWrong' });
    await makeStore(true);
    digest = 'sha256:0';
    await expect(verify()).rejects.toMatchObject({ code: 'ImageCorrupt' });
    await makeStore(true);
    const file = join(root, 'c1', 'main', 'pages-1.img.enc');
    const bytes = await readFile(file);
    bytes[5000] = (bytes[5000] ?? 0) ^ 1;
    await writeFile(file, bytes);
    await expect(verify()).rejects.toMatchObject({ code: 'ImageCorrupt' });
    expect(await readdir(root)).toEqual(['c1']);
  });
});
