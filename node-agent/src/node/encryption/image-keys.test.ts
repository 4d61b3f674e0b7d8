// SPDX-License-Identifier: Apache-2.0
// The keys as the kubelet mounts them, and the data keys that they wrap.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { KEY_2025, KEY_2026, MountedKeys, randomKey } from '../../testing/image-keys.ts';
import { TestDirectories } from '../../testing/images.ts';
import { DataKey, parseWrappedKey } from './data-key.ts';

const directories = new TestDirectories();
const mounted = async () => new MountedKeys(await directories.fresh());

describe('the keys of stored images', () => {
  it('are missing as long as the Secret is not there or is empty', async () => {
    const { dir, keys } = await mounted();
    await expect(keys.newest()).rejects.toMatchObject({ code: 'ImageKeyMissing' });
    await expect(new MountedKeys(join(dir, 'nowhere')).keys.newest()).rejects.toMatchObject({
      code: 'ImageKeyMissing',
    });
    // A file whose name is not that of a key does not count: here a README, and a directory that the kubelet makes.
    await writeFile(join(dir, 'README'), 'x');
    await mkdir(join(dir, '..2026_01_01'));
    await expect(keys.newest()).rejects.toMatchObject({ code: 'ImageKeyMissing' });
  });

  it('are the newest one for new images, and every one for those that are there', async () => {
    const node = await mounted();
    const [old, young] = [randomKey(), randomKey()];
    await node.mount({ [KEY_2025]: old });
    expect(await node.keys.newest()).toEqual({ id: KEY_2025, key: old });
    // Without a restart.
    await node.mount({ [KEY_2025]: old, [KEY_2026]: young });
    expect(await node.keys.newest()).toEqual({ id: KEY_2026, key: young });
    expect(await node.keys.get(KEY_2025)).toEqual({ id: KEY_2025, key: old });
    await node.mount({ [KEY_2026]: young });
    await expect(node.keys.get(KEY_2025)).rejects.toMatchObject({
      code: 'ImageKeyMissing',
      message: expect.stringContaining(KEY_2025) as string,
    });
  });

  it('are refused with another length', async () => {
    const node = await mounted();
    await node.mount({ [KEY_2026]: 'in text' });
    await expect(node.keys.newest()).rejects.toMatchObject({
      code: 'ImageKeyWrong',
      message: expect.stringContaining('7 bytes') as string,
    });
  });
});

describe('a wrapped data key', () => {
  it('is unwrapped by the key that its name says, and gives the same keys of files', async () => {
    const node = await mounted();
    await node.mount({ [KEY_2025]: randomKey() });
    const made = DataKey.make();
    const wrapped = parseWrappedKey(JSON.stringify(made.wrap('c1', await node.keys.newest())));
    expect(wrapped.keyId).toBe(KEY_2025);
    const read = await DataKey.unwrap('c1', wrapped, node.keys);
    expect(read.ofFile('a').equals(made.ofFile('a'))).toBe(true);
    expect(made.ofFile('b').equals(made.ofFile('a'))).toBe(false);
    // Wrapped again, it looks different.
    expect(made.wrap('c1', await node.keys.newest()).wrapped).not.toBe(wrapped.wrapped);
  });

  it('does for no other checkpoint, under no other key, and not altered', async () => {
    const node = await mounted();
    const [one, other] = [randomKey(), randomKey()];
    await node.mount({ [KEY_2025]: one, [KEY_2026]: one });
    const wrapped = DataKey.make().wrap('c1', { id: KEY_2025, key: one });
    const wrong = { code: 'ImageKeyWrong' };
    await expect(DataKey.unwrap('c2', wrapped, node.keys)).rejects.toMatchObject(wrong);
    const renamed = { ...wrapped, keyId: KEY_2026 };
    await expect(DataKey.unwrap('c1', renamed, node.keys)).rejects.toMatchObject(wrong);
    const bytes = Buffer.from(wrapped.wrapped, 'base64');
    for (const at of [0, 20, 50]) {
      const altered = Buffer.from(bytes);
      altered[at] = (altered[at] ?? 0) ^ 1;
      const text = altered.toString('base64');
      await expect(
        DataKey.unwrap('c1', { ...wrapped, wrapped: text }, node.keys),
      ).rejects.toMatchObject(wrong);
    }
    await node.mount({ [KEY_2025]: other });
    await expect(DataKey.unwrap('c1', wrapped, node.keys)).rejects.toMatchObject(wrong);
  });

  it('is refused as text that is none, short, or of another version', () => {
    const good = DataKey.make().wrap('c1', { id: KEY_2025, key: randomKey() });
    const text = (change: object) => JSON.stringify({ ...good, ...change });
    expect(parseWrappedKey(text({}))).toEqual(good);
    expect(() => parseWrappedKey('{')).toThrow(expect.objectContaining({ code: 'ImageCorrupt' }));
    for (const change of [{ wrapped: 'AAAA' }, { wrapped: '%' }, { keyId: 5 }, { keyId: '' }]) {
      expect(() => parseWrappedKey(text(change))).toThrow(
        expect.objectContaining({ code: 'ImageCorrupt' }),
      );
    }
    expect(() => parseWrappedKey(text({ version: 2 }))).toThrow(
      expect.objectContaining({ code: 'ImageVersion' }),
    );
  });
});
