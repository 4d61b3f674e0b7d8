// SPDX-License-Identifier: Apache-2.0
// The data key of one checkpoint, and its wrapped form beside the images (key.json). Each file of the images has a key of
// its own, derived from the data key and the file's path, so that files cannot take each other's place.
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { imageKeys } from '../../../../crds/src/index.ts';
import { AgentError } from '../../support/errors.ts';
import type { ImageKey, ImageKeys } from './image-keys.ts';
import { TAG_BYTES } from './encrypted-stream.ts';

/** In the directory of the images; one that has it has encrypted images. */
export const KEY_NAME = 'key.json';
/** Of the format: of key.json, and of the files. */
const VERSION = 1;
const NONCE_BYTES = 12;
const WRAPPED_BYTES = NONCE_BYTES + imageKeys.bytes + TAG_BYTES;

const wrappedKey = z.object({
  version: z.literal(VERSION),
  /** Key of the Secret that has wrapped the data key. */
  keyId: z.string().min(1).max(64),
  /** Base64 of a nonce of 12 bytes, the encrypted data key of 32 bytes, and the tag of 16 bytes (AES-256-GCM). */
  wrapped: z.base64().refine((text) => Buffer.from(text, 'base64').length === WRAPPED_BYTES),
});
export type WrappedKey = z.infer<typeof wrappedKey>;

export class DataKey {
  readonly #key: Buffer;

  private constructor(key: Buffer) {
    this.#key = key;
  }

  /** A random one. */
  static make(): DataKey {
    return new DataKey(randomBytes(imageKeys.bytes));
  }

  /**
   * The data key of stored images.
   * @param id of the images: another checkpoint's key.json does not do
   * @throws AgentError ImageKeyMissing, ImageKeyWrong
   */
  static async unwrap(
    id: string,
    { keyId, wrapped }: WrappedKey,
    keys: ImageKeys,
  ): Promise<DataKey> {
    const { key } = await keys.get(keyId);
    const bytes = Buffer.from(wrapped, 'base64');
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(boundTo(id, keyId));
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    const plain = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
    try {
      return new DataKey(Buffer.concat([plain, decipher.final()]));
    } catch (cause) {
      throw new AgentError(
        'ImageKeyWrong',
        `Key ${keyId} of the Secret does not open the images of ${id}. Either the Secret has another key under this name: put the ` +
          `right one back. Or somebody has altered ${KEY_NAME} on the node's disk: then the images are lost.`,
        { cause },
      );
    }
  }

  /** As the node's disk has it. */
  wrap(id: string, { id: keyId, key }: ImageKey): WrappedKey {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', key, nonce);
    cipher.setAAD(boundTo(id, keyId));
    const sealed = Buffer.concat([
      nonce,
      cipher.update(this.#key),
      cipher.final(),
      cipher.getAuthTag(),
    ]);
    return { version: VERSION, keyId, wrapped: sealed.toString('base64') };
  }

  /** The key of one file: HKDF with SHA-256 (RFC 5869). */
  ofFile(path: string): Buffer {
    const info = `sealift image ${VERSION}\0${path}`;
    return Buffer.from(hkdfSync('sha256', this.#key, '', info, imageKeys.bytes));
  }
}

const boundTo = (id: string, keyId: string): Buffer =>
  Buffer.from(`sealift data key ${VERSION}\0${id}\0${keyId}`);

/** Pure. @throws AgentError ImageVersion, ImageCorrupt */
export function parseWrappedKey(text: string): WrappedKey {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new AgentError('ImageCorrupt', `${KEY_NAME} of the images is not JSON.`, { cause });
  }
  const version = z.looseObject({ version: z.number() }).safeParse(json);
  if (version.success && version.data.version !== VERSION) {
    throw new AgentError(
      'ImageVersion',
      `The images are encrypted in format version ${version.data.version}, this agent reads version ${VERSION}.`,
    );
  }
  const parsed = wrappedKey.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new AgentError(
    'ImageCorrupt',
    `${KEY_NAME} of the images is damaged: ${z.prettifyError(parsed.error)}.`,
  );
}
