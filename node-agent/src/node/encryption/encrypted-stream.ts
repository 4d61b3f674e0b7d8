// SPDX-License-Identifier: Apache-2.0
// An encrypted file: chunks of 64 KiB, each AES-256-GCM (NIST SP 800-38D) with its tag of 16 bytes behind it; the last one
// may be shorter, and an empty file has one empty chunk. The nonce is the chunk's number and whether it is the last one, so
// that chunks cannot be reordered, repeated, left out or cut off (the STREAM construction of Hoang, Reyhanitabar, Rogaway
// and Vizár, 2015). The key belongs to one file only: no nonce is used twice with it.
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import { AgentError } from '../../support/errors.ts';

const CIPHER = 'aes-256-gcm';
/** Bytes of plain text in a chunk. */
export const CHUNK_BYTES = 64 * 1024;
export const TAG_BYTES = 16;
const NONCE_BYTES = 12;

/** Size of a file when it is encrypted, in bytes. Pure. */
export const encryptedSize = (size: number): number =>
  size + TAG_BYTES * Math.max(1, Math.ceil(size / CHUNK_BYTES));

/** Bytes 0 to 10: the chunk's number, big-endian; byte 11: 1 for the last chunk. */
function nonceOf(chunk: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeBigUInt64BE(BigInt(chunk), 3);
  nonce[NONCE_BYTES - 1] = isLast ? 1 : 0;
  return nonce;
}

/** What to read of a file at a time: then no byte is copied on the way. */
export const READ_BYTES = { plain: CHUNK_BYTES, encrypted: CHUNK_BYTES + TAG_BYTES } as const;

/** Cuts what comes into pieces of one size. The last one may be shorter; that it is the last one shows only at the end. */
abstract class Chunks extends Transform {
  readonly #bytes: number;
  /** Less than a piece, or one piece. */
  #held: Buffer = Buffer.alloc(0);
  #count = 0;

  constructor(bytes: number) {
    super();
    this.#bytes = bytes;
  }

  override _transform(data: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      let rest = data;
      while (this.#held.length + rest.length > this.#bytes) {
        const missing = this.#bytes - this.#held.length;
        this.#convert(join(this.#held, rest.subarray(0, missing)), false);
        this.#held = Buffer.alloc(0);
        rest = rest.subarray(missing);
      }
      this.#held = join(this.#held, rest);
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _flush(done: TransformCallback): void {
    try {
      this.#convert(this.#held, true);
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  /** @returns what goes on of a piece */
  protected abstract convert(piece: Buffer, chunk: number, isLast: boolean): readonly Buffer[];

  #convert(piece: Buffer, isLast: boolean): void {
    for (const part of this.convert(piece, this.#count++, isLast)) {
      if (part.length > 0) this.push(part);
    }
  }
}

/** Copies only where both have bytes. */
function join(first: Buffer, second: Buffer): Buffer {
  if (first.length === 0) return second;
  return second.length === 0 ? first : Buffer.concat([first, second]);
}

/** Encrypts a file. */
export class EncryptStream extends Chunks {
  readonly #key: Buffer;

  /** @param key of this one file: 32 bytes */
  constructor(key: Buffer) {
    super(CHUNK_BYTES);
    this.#key = key;
  }

  protected convert(piece: Buffer, chunk: number, isLast: boolean): readonly Buffer[] {
    const cipher = createCipheriv(CIPHER, this.#key, nonceOf(chunk, isLast));
    return [cipher.update(piece), cipher.final(), cipher.getAuthTag()];
  }
}

/** Decrypts a file. It passes on what it has authenticated, and fails with AgentError ImageCorrupt or ImageTruncated. */
export class DecryptStream extends Chunks {
  readonly #key: Buffer;
  readonly #path: string;

  /** @param path of the image, for messages */
  constructor(key: Buffer, path: string) {
    super(CHUNK_BYTES + TAG_BYTES);
    this.#key = key;
    this.#path = path;
  }

  protected convert(piece: Buffer, chunk: number, isLast: boolean): readonly Buffer[] {
    const plain = this.#open(piece, chunk, isLast);
    if (plain) return plain;
    if (isLast && (piece.length < TAG_BYTES || this.#open(piece, chunk, false))) {
      throw new AgentError(
        'ImageTruncated',
        `Image ${this.#path} ends at chunk ${chunk}, which is not its last one.`,
      );
    }
    throw new AgentError(
      'ImageCorrupt',
      `Image ${this.#path} was altered on this node's disk: chunk ${chunk} of the encrypted file is not authentic.`,
    );
  }

  #open(piece: Buffer, chunk: number, isLast: boolean): readonly Buffer[] | undefined {
    const size = piece.length - TAG_BYTES;
    if (size < 0) return undefined;
    const decipher = createDecipheriv(CIPHER, this.#key, nonceOf(chunk, isLast), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAuthTag(piece.subarray(size));
    const plain = decipher.update(piece.subarray(0, size));
    try {
      return [plain, decipher.final()];
    } catch {
      return undefined;
    }
  }
}
