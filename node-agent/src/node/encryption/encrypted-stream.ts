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

/** Cuts what comes into pieces of one size. The last one may be shorter; it is known for the last one only at the end. */
abstract class Chunks extends Transform {
  readonly #bytes: number;
  #parts: Buffer[] = [];
  #size = 0;
  #count = 0;

  constructor(bytes: number) {
    super();
    this.#bytes = bytes;
  }

  override _transform(data: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#parts.push(data);
    this.#size += data.length;
    try {
      while (this.#size > this.#bytes) this.push(this.convert(this.#take(), this.#count++, false));
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _flush(done: TransformCallback): void {
    try {
      done(null, this.convert(Buffer.concat(this.#parts), this.#count, true));
    } catch (error) {
      done(error as Error);
    }
  }

  protected abstract convert(piece: Buffer, chunk: number, isLast: boolean): Buffer;

  #take(): Buffer {
    const all =
      this.#parts.length === 1 ? (this.#parts[0] ?? Buffer.alloc(0)) : Buffer.concat(this.#parts);
    const rest = all.subarray(this.#bytes);
    this.#parts = [rest];
    this.#size = rest.length;
    return all.subarray(0, this.#bytes);
  }
}

/** Encrypts a file. */
export class EncryptStream extends Chunks {
  readonly #key: Buffer;

  /** @param key of this one file: 32 bytes */
  constructor(key: Buffer) {
    super(CHUNK_BYTES);
    this.#key = key;
  }

  protected convert(piece: Buffer, chunk: number, isLast: boolean): Buffer {
    const cipher = createCipheriv(CIPHER, this.#key, nonceOf(chunk, isLast));
    return Buffer.concat([cipher.update(piece), cipher.final(), cipher.getAuthTag()]);
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

  protected convert(piece: Buffer, chunk: number, isLast: boolean): Buffer {
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

  #open(piece: Buffer, chunk: number, isLast: boolean): Buffer | undefined {
    const size = piece.length - TAG_BYTES;
    if (size < 0) return undefined;
    const decipher = createDecipheriv(CIPHER, this.#key, nonceOf(chunk, isLast), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAuthTag(piece.subarray(size));
    const plain = decipher.update(piece.subarray(0, size));
    try {
      return Buffer.concat([plain, decipher.final()]);
    } catch {
      return undefined;
    }
  }
}
