// SPDX-License-Identifier: Apache-2.0
// A Secret with keys of stored images, as the kubelet mounts it, and what replaces it.
import { randomBytes } from 'node:crypto';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ImageKeys } from '../node/encryption/image-keys.ts';

export const KEY_2025 = '20250101T000000Z';
export const KEY_2026 = '20260101T000000Z';

/** What kubectl, the operator and the kubelet do to a node's keys. */
export class MountedKeys {
  readonly dir: string;
  readonly keys: ImageKeys;
  #mounts = 0;

  constructor(dir: string) {
    this.dir = dir;
    this.keys = new ImageKeys(dir);
  }

  /** Puts these keys in the place of those that are there, all at once, by the link `..data`. */
  async mount(keys: Record<string, Buffer | string>): Promise<void> {
    const name = `..mount-${this.#mounts++}`;
    await mkdir(join(this.dir, name), { recursive: true });
    for (const [id, key] of Object.entries(keys)) {
      await writeFile(join(this.dir, name, id), key);
      await rm(join(this.dir, id), { force: true });
      await symlink(join('..data', id), join(this.dir, id));
    }
    await symlink(name, join(this.dir, '..new'));
    await rename(join(this.dir, '..new'), join(this.dir, '..data'));
  }
}

export const randomKey = (): Buffer => randomBytes(32);
