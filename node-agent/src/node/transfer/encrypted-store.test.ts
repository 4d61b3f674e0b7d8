// SPDX-License-Identifier: Apache-2.0
// A checkpoint's images on the disk: encrypted when they are sealed, read back, and what an attacker, a crash, a rotation or
// a lost Secret makes of them. Real files, real keys.
import { execFileSync } from 'node:child_process';
import {
  copyFile,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KEY_2025, KEY_2026, MountedKeys, randomKey } from '../../testing/image-keys.ts';
import { gathered, manifestHeader, TestDirectories, writeImages } from '../../testing/images.ts';
import { reasonOf } from '../../support/errors.ts';
import { listFiles } from './image-digest.ts';
import { packImages, unpackImages } from './image-stream.ts';
import { ImageStore } from './image-store.ts';
import type { Manifest } from './manifest.ts';

const directories = new TestDirectories();
const SECRET = 'the pod’s password';
const PAGES = 'main/pages-1.img';
/** Of the pages of both containers, in bytes. */
const SIZE = 300_000;

let root: string;
let node: MountedKeys;
let store: ImageStore;
const encrypting = (isOn = true): ImageStore => new ImageStore(root, { isOn, keys: node.keys });
const plainTexts = (): string =>
  execFileSync('sh', ['-c', 'grep -rlF "$1" "$2" || true', 'sh', SECRET, root], {
    encoding: 'utf8',
  });

/** A dump of a pod. */
async function dump(id: string): Promise<string> {
  const dir = store.dir(id);
  await store.createDirectory(id, 'other');
  await writeImages(dir);
  await writeFile(join(dir, 'other', 'pages-1.img'), SECRET.padEnd(SIZE - 2, ' '));
  return dir;
}
async function seal(
  id = 'c1',
): Promise<{ dir: string; manifest: Manifest; before: Map<string, Buffer> }> {
  const dir = await dump(id);
  const before = new Map<string, Buffer>();
  for (const path of await listFiles(dir)) before.set(path, await readFile(join(dir, path)));
  return { dir, before, manifest: await store.seal(id, manifestHeader(id)) };
}
const restore = async (manifest: Manifest, id = 'c1'): Promise<string> => {
  await store.decrypt(id, manifest, 'r1');
  return store.dir('r1');
};
/** From this store to another node's. @returns the directory there */
async function send(manifest: Manifest): Promise<string> {
  const to = await directories.fresh();
  const images = await store.files('c1', manifest);
  const { sink, bytes } = gathered();
  await packImages(images, manifest, sink);
  expect(await unpackImages(Readable.from([bytes()]), to)).toEqual(manifest);
  return to;
}
const code = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'accepted',
    (error: { code: string }) => error.code,
  );

beforeEach(async () => {
  root = await directories.fresh();
  node = new MountedKeys(await directories.fresh());
  await node.mount({ [KEY_2025]: randomKey() });
  store = encrypting();
});

describe('a sealed checkpoint', () => {
  it('has nothing of the pod’s memory on the disk, and says what it would have without encryption', async () => {
    const { dir, manifest, before } = await seal();
    expect(plainTexts()).toBe('');
    expect((await listFiles(dir)).sort()).toEqual(
      [...before.keys()]
        .map((path) => `${path}.enc`)
        .concat('key.json')
        .sort(),
    );
    expect(manifest.files.map(({ path }) => path)).toEqual([...before.keys()]);
    expect(JSON.parse(await readFile(join(dir, 'key.json'), 'utf8'))).toMatchObject({
      keyId: KEY_2025,
    });
    expect((await store.manifest('c1'))?.manifest).toEqual(manifest);
  });

  it('is decrypted for CRIU into a directory of its own, byte for byte, as often as it is restored', async () => {
    const { manifest, before } = await seal();
    for (const _attempt of [1, 2]) {
      const copy = await restore(manifest);
      for (const [path, bytes] of before) {
        expect(Buffer.compare(await readFile(join(copy, path)), bytes), path).toBe(0);
      }
      expect(await listFiles(copy)).toEqual([...before.keys()]);
      expect((await store.manifest('r1'))?.digest).toBe((await store.manifest('c1'))?.digest);
    }
    await store.remove('r1');
    expect(plainTexts()).toBe('');
  });

  it('is sent to another node in plain bytes, as one that was not encrypted', async () => {
    const { manifest, before } = await seal();
    const to = await send(manifest);
    for (const [path, bytes] of before)
      expect((await readFile(join(to, path))).equals(bytes)).toBe(true);
  });

  it('from before the feature, or with encryption off, is read as it is', async () => {
    store = encrypting(false);
    const { dir, manifest, before } = await seal();
    expect(await listFiles(dir)).toEqual([...before.keys()]);
    expect([await store.keyProblem(), await store.isEncrypted('c1')]).toEqual([undefined, false]);
    store = encrypting();
    expect(await store.isEncrypted('c1')).toBe(false);
    const files = await store.files('c1', manifest);
    expect(await files.size(PAGES)).toBe(SIZE);
    expect(await store.storedKeyProblem('c1')).toBeUndefined();
  });

  it('stays readable when encryption is turned off', async () => {
    const { manifest } = await seal();
    store = encrypting(false);
    expect(await code(restore(manifest))).toBe('accepted');
  });
});

describe('the keys of a checkpoint', () => {
  it('stay readable after a rotation, and the next checkpoint has the new key', async () => {
    const old = await node.keys.newest();
    const first = await seal('c1');
    await node.mount({ [KEY_2025]: old.key, [KEY_2026]: randomKey() });
    const second = await seal('c2');
    const keyOf = async (dir: string) =>
      (JSON.parse(await readFile(join(dir, 'key.json'), 'utf8')) as { keyId: string }).keyId;
    expect([await keyOf(first.dir), await keyOf(second.dir)]).toEqual([KEY_2025, KEY_2026]);
    expect(await code(restore(first.manifest, 'c1'))).toBe('accepted');
    expect(await code(restore(second.manifest, 'c2'))).toBe('accepted');
  });

  it('are reported to be gone, or wrong, before and while images are read', async () => {
    const { key } = await node.keys.newest();
    const { manifest } = await seal();
    await node.mount({ [KEY_2026]: key });
    expect(await store.storedKeyProblem('c1')).toMatchObject({ code: 'ImageKeyMissing' });
    expect(await code(restore(manifest))).toBe('ImageKeyMissing');
    expect(await code(store.files('c1', manifest))).toBe('ImageKeyMissing');
    await node.mount({ [KEY_2025]: randomKey() });
    expect(await store.storedKeyProblem('c1')).toMatchObject({ code: 'ImageKeyWrong' });
    expect(await code(restore(manifest))).toBe('ImageKeyWrong');
    await node.mount({ [KEY_2025]: key });
    expect(await store.storedKeyProblem('c1')).toBeUndefined();
    expect(await code(restore(manifest))).toBe('accepted');
  });

  it('are not those of another checkpoint, whose key.json somebody has put there', async () => {
    const { dir, manifest } = await seal('c1');
    const other = await seal('c2');
    await copyFile(join(other.dir, 'key.json'), join(dir, 'key.json'));
    expect(await code(restore(manifest))).toBe('ImageKeyWrong');
    // Nor does the whole directory of another checkpoint do under this one's name.
    await rm(dir, { recursive: true });
    await rename(other.dir, dir);
    expect(await code(restore(manifest))).toBe('ImageKeyWrong');
  });

  it('must be there before the first byte is encrypted', async () => {
    await node.mount({});
    expect(await store.keyProblem()).toMatchObject({ code: 'ImageKeyMissing' });
    await dump('c1');
    expect(await code(store.seal('c1', manifestHeader('c1')))).toBe('ImageKeyMissing');
    expect(await store.manifest('c1')).toBeUndefined();
  });
});

describe('an attacker with the disk', () => {
  const attacks: [string, string, (file: (path: string) => string) => Promise<unknown>][] = [
    [
      'alters a byte of the last file',
      'ImageCorrupt',
      async (file) => {
        const bytes = await readFile(file('rootfs.tar'));
        bytes[500] = (bytes[500] ?? 0) ^ 1;
        await writeFile(file('rootfs.tar'), bytes);
      },
    ],
    ['cuts bytes off', 'ImageTruncated', (file) => truncate(file(PAGES), SIZE)],
    ['cuts whole chunks off', 'ImageTruncated', (file) => truncate(file(PAGES), 2 * (65_536 + 16))],
    ['removes a file', 'ImageTruncated', (file) => rm(file(PAGES))],
    ['appends', 'ImageCorrupt', (file) => writeFile(file(PAGES), 'x', { flag: 'a' })],
    [
      'swaps two files',
      'ImageCorrupt',
      async (file) => {
        await rename(file(PAGES), file('spare'));
        await rename(file('other/pages-1.img'), file(PAGES));
        await rename(file('spare'), file('other/pages-1.img'));
      },
    ],
    [
      'gives key.json another version',
      'ImageVersion',
      (file) => writeFile(file('key.json').replace(/\.enc$/, ''), '{"version":9}'),
    ],
    [
      'damages key.json',
      'ImageCorrupt',
      (file) => writeFile(file('key.json').replace(/\.enc$/, ''), '{'),
    ],
    [
      'takes key.json away and puts plain files of his own there',
      'ImageCorrupt',
      async (file) => {
        const plain = (path: string) => file(path).replace(/\.enc$/, '');
        await rm(plain('key.json'));
        for (const [path, size] of [
          [PAGES, SIZE],
          ['other/pages-1.img', SIZE],
          ['rootfs.tar', 1000],
          ['main/empty.img', 0],
        ] as const)
          await writeFile(plain(path), Buffer.alloc(size));
      },
    ],
  ];

  it.each(attacks)(
    'who %s is found out, and nothing is left for CRIU',
    async (_what, reason, attack) => {
      const { dir, manifest } = await seal();
      await attack((path) => join(dir, `${path}.enc`));
      expect(await code(restore(manifest))).toBe(reason);
      expect(await readdir(root)).toEqual(['c1']);
      expect(await code(send(manifest))).toBe(reason);
    },
  );
});

describe('an agent that ends, or a disk that', () => {
  let faults: string;
  beforeEach(async () => {
    faults = await directories.fresh();
    process.env['SEALIFT_FAULT_DIR'] = faults;
  });
  afterEach(() => {
    delete process.env['SEALIFT_FAULT_DIR'];
  });

  it.each(['checkpoint.encrypt.before', 'checkpoint.encrypt.after'])(
    'ends at %s leaves no checkpoint, and all of it goes',
    async (point) => {
      await dump('c1');
      await writeFile(join(faults, point), 'throw');
      expect(await code(store.seal('c1', manifestHeader('c1')))).toBe('FaultInjected');
      expect(await store.manifest('c1')).toBeUndefined();
      if (point.endsWith('after')) expect(plainTexts()).toBe('');
      await store.remove('c1');
      expect(await readdir(root)).toEqual([]);
    },
  );

  it('ends in the middle has every image in one form only, but for the one that it was at', async () => {
    const dir = await dump('c1');
    // The third one can't be written.
    await mkdir(join(dir, 'other', 'pages-1.img.enc'));
    await expect(store.seal('c1', manifestHeader('c1'))).rejects.toMatchObject({
      code: 'EEXIST',
    });
    const left = await listFiles(dir);
    expect(left).toContain('main/pages-1.img.enc');
    expect(left).not.toContain('main/pages-1.img');
    expect(await store.manifest('c1')).toBeUndefined();
    await store.remove('c1');
    expect(await readdir(root)).toEqual([]);
  });

  it('has left half a checkpoint makes a whole one of the next dump, under another data key', async () => {
    const dir = await dump('c1');
    await mkdir(join(dir, 'other', 'pages-1.img.enc'));
    await expect(store.seal('c1', manifestHeader('c1'))).rejects.toThrow();
    const before = await readFile(join(dir, 'key.json'), 'utf8');
    await rm(join(dir, 'other'), { recursive: true });
    await store.createDirectory('c1', 'main');
    await writeFile(join(dir, 'main', 'pages-1.img'), SECRET);
    const manifest = await store.seal('c1', manifestHeader('c1'));
    expect(manifest.files.map(({ path }) => path)).toEqual([PAGES, 'rootfs.tar']);
    expect(await readFile(join(dir, 'key.json'), 'utf8')).not.toBe(before);
    expect(await readFile(join(await restore(manifest), PAGES), 'utf8')).toBe(SECRET);
  });

  it('is full leaves no checkpoint, and all of it goes', async ({ skip }) => {
    const mount = (...args: string[]): boolean => {
      try {
        execFileSync(args[0] ?? '', args.slice(1), { stdio: 'ignore' });
        return true;
      } catch {
        return false;
      }
    };
    // Room for the dump, and for one of its larger files once more.
    if (!mount('mount', '-t', 'tmpfs', '-o', 'size=1000k', 'tmpfs', root)) {
      return skip('this process may not mount');
    }
    try {
      await dump('c1');
      await writeFile(join(store.dir('c1'), 'shm.tar'), Buffer.alloc(SIZE));
      const error: unknown = await store
        .seal('c1', manifestHeader('c1'))
        .catch((cause: unknown) => cause);
      expect(reasonOf(error)).toMatchObject({ code: 'DiskFull' });
      expect(await store.manifest('c1')).toBeUndefined();
      await store.remove('c1');
      expect(await readdir(root)).toEqual([]);
    } finally {
      mount('umount', root);
    }
  });

  it('stops a decryption that is not needed any more, and leaves nothing of it', async () => {
    const { manifest } = await seal();
    const stop = new AbortController();
    const decrypting = store.decrypt('c1', manifest, 'r1', stop.signal);
    stop.abort();
    await expect(decrypting).rejects.toThrow();
    expect(await readdir(root)).toEqual(['c1']);
  });
});
