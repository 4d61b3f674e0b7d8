// SPDX-License-Identifier: Apache-2.0
// The keys that wrap checkpoints' data keys, as the kubelet mounts the Secret: one file a key, named after when it was made.
// They are in the node's memory only. Each use reads them again, so that a new key needs no restart.
import { readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { imageKeys, imageKeyTime } from '../../../../crds/src/index.ts';
import { AgentError, isErrno } from '../../support/errors.ts';
import { namesIn } from '../../support/optional-file.ts';

/** The kubelet replaces all files of a Secret at once, by this link. */
const CURRENT = '..data';

export interface ImageKey {
  id: string;
  /** 32 bytes. */
  key: Buffer;
}

export class ImageKeys {
  readonly #dir: string;

  /** @param dir where the Secret is mounted; it need not be there */
  constructor(dir: string) {
    this.#dir = dir;
  }

  /** The newest key, which wraps new data keys. @throws AgentError ImageKeyMissing, ImageKeyWrong */
  async newest(): Promise<ImageKey> {
    const directory = await this.#directory();
    const id = (await namesIn(directory))
      .filter((name) => imageKeyTime(name) !== undefined)
      .sort()
      .at(-1);
    if (id !== undefined) return readKey(directory, id);
    throw new AgentError(
      'ImageKeyMissing',
      `The agent has no key to encrypt images with: the Secret in ${this.#dir} has none. ` +
        `The operator fills Secret ${imageKeys.secret}, and the kubelet brings it to the node within two minutes; see the operator's log.`,
    );
  }

  /** @throws AgentError ImageKeyMissing, ImageKeyWrong */
  async get(id: string): Promise<ImageKey> {
    const directory = await this.#directory();
    if ((await namesIn(directory)).includes(id)) return readKey(directory, id);
    throw new AgentError(
      'ImageKeyMissing',
      `These images are encrypted with key ${id}, which is not in the Secret of the images' keys (${imageKeys.secret}, unless ` +
        'the chart names another). Put the key back from a copy of the Secret; without it nobody can read the images.',
    );
  }

  async #directory(): Promise<string> {
    try {
      return await realpath(join(this.#dir, CURRENT));
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return this.#dir;
      throw error;
    }
  }
}

async function readKey(directory: string, id: string): Promise<ImageKey> {
  const key = await readFile(join(directory, id));
  if (key.length === imageKeys.bytes) return { id, key };
  throw new AgentError(
    'ImageKeyWrong',
    `Key ${id} in the Secret of the images' keys has ${key.length} bytes, not ${imageKeys.bytes}. Put the right one there.`,
  );
}
