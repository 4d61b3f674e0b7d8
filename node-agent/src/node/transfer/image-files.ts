// SPDX-License-Identifier: Apache-2.0
// Stored images as plain bytes, whether they are encrypted on the disk or not. Whoever sends or restores images reads them
// through this; no file is whole in memory.
import { createReadStream, createWriteStream } from 'node:fs';
import { lstat, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline, Readable } from 'node:stream';
import { pipeline as pipelined } from 'node:stream/promises';
import { AgentError, isErrno } from '../../support/errors.ts';
import {
  DecryptStream,
  encryptedSize,
  EncryptStream,
  READ_BYTES,
} from '../encryption/encrypted-stream.ts';
import { KEY_NAME, type DataKey } from '../encryption/data-key.ts';
import { Digest, listFiles } from './image-digest.ts';
import type { ManifestFile } from './manifest.ts';

/** An encrypted image is `<path>` with this behind it. */
const ENDING = '.enc';

/** Each read costs a switch of threads. */
const PLAIN_READ_BYTES = 256 << 10;
/** A chunk that is sent. It should fit into a processor's cache: it is digested and encrypted right after it was read. */
const CHUNK_BYTES = 512 << 10;

export interface ImageFiles {
  /** Relative paths, sorted, without the manifest. */
  list(): Promise<string[]>;
  /** Size of an image in plain bytes. @throws AgentError ImageTruncated, ImageCorrupt */
  size(path: string): Promise<number>;
  /** The first `size` bytes of an image. The stream fails with AgentError ImageTruncated, ImageCorrupt. */
  read(path: string, size: number): Readable;
  /** The same in chunks, each of which is there until the next but one is asked for. @throws AgentError ImageTruncated, ImageCorrupt */
  chunks(path: string, size: number): AsyncIterable<Buffer>;
  /** The same of a small image, at once. @throws AgentError ImageTruncated, ImageCorrupt */
  readWhole(path: string, size: number): Promise<Buffer>;
}

/** Images as CRIU has written them. */
export class PlainFiles implements ImageFiles {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  list(): Promise<string[]> {
    return listFiles(this.#dir);
  }

  size(path: string): Promise<number> {
    return sizeOf(join(this.#dir, path), path);
  }

  read(path: string, size: number): Readable {
    if (size === 0) return Readable.from([]);
    return createReadStream(join(this.#dir, path), {
      end: size - 1,
      highWaterMark: PLAIN_READ_BYTES,
    });
  }

  /** Two buffers take turns: fresh ones would keep the garbage collector busy. */
  async *chunks(path: string, size: number): AsyncGenerator<Buffer> {
    const length = Math.min(size, CHUNK_BYTES);
    let [buffer, other] = [Buffer.allocUnsafeSlow(length), Buffer.allocUnsafeSlow(length)];
    const handle = await open(join(this.#dir, path));
    try {
      for (let left = size; left > 0;) {
        const { bytesRead } = await handle.read(buffer, 0, Math.min(left, length), null);
        if (bytesRead === 0) throw becameShorter(path);
        left -= bytesRead;
        yield buffer.subarray(0, bytesRead);
        [buffer, other] = [other, buffer];
      }
    } finally {
      await handle.close();
    }
  }

  async readWhole(path: string, size: number): Promise<Buffer> {
    const bytes = await readFile(join(this.#dir, path));
    if (bytes.length >= size) return bytes.subarray(0, size);
    throw becameShorter(path);
  }
}

const becameShorter = (path: string): AgentError =>
  new AgentError('ImageTruncated', `Image ${path} has become shorter while it was read.`);

/** Images of a checkpoint that were encrypted when it was sealed. */
export class EncryptedFiles implements ImageFiles {
  readonly #dir: string;
  readonly #key: DataKey;
  readonly #sizes: ReadonlyMap<string, number>;

  /** @param files of the manifest */
  constructor(dir: string, key: DataKey, files: readonly ManifestFile[]) {
    this.#dir = dir;
    this.#key = key;
    this.#sizes = new Map(files.map(({ path, size }) => [path, size]));
  }

  async list(): Promise<string[]> {
    return [...this.#sizes.keys()].sort();
  }

  async size(path: string): Promise<number> {
    const size = this.#sizes.get(path) ?? 0;
    const [there, wanted] = [
      await sizeOf(join(this.#dir, path + ENDING), path),
      encryptedSize(size),
    ];
    if (there === wanted) return size;
    throw new AgentError(
      there < wanted ? 'ImageTruncated' : 'ImageCorrupt',
      `Image ${path} has ${there} bytes on this node's disk, not ${wanted}.`,
    );
  }

  read(path: string): Readable {
    const decrypted = new DecryptStream(this.#key.ofFile(path), path);
    // Whoever reads gets the error, and its end ends the reading of the file.
    return pipeline(
      createReadStream(join(this.#dir, path + ENDING), { highWaterMark: READ_BYTES.encrypted }),
      decrypted,
      () => undefined,
    );
  }

  chunks(path: string): AsyncIterable<Buffer> {
    return this.read(path) as AsyncIterable<Buffer>;
  }

  async readWhole(path: string): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for await (const chunk of this.read(path) as AsyncIterable<Buffer>) chunks.push(chunk);
    return Buffer.concat(chunks);
  }
}

/**
 * Encrypts images and removes the plain ones, one after another: at no time is more than one there in both forms. Every
 * encrypted image is synced before its plain form goes. Encrypted images of an attempt that was cut off are removed: nobody
 * has their key.
 * @returns size and SHA-256 of the plain images
 */
export async function encryptFiles(dir: string, key: DataKey): Promise<ManifestFile[]> {
  const files: ManifestFile[] = [];
  const paths = (await listFiles(dir)).filter((path) => path !== KEY_NAME);
  for (const path of paths.filter((one) => one.endsWith(ENDING))) await rm(join(dir, path));
  for (const path of paths.filter((one) => !one.endsWith(ENDING))) {
    const plain = join(dir, path);
    const digest = new Digest();
    await pipelined(
      createReadStream(plain, { highWaterMark: READ_BYTES.plain }),
      digest,
      new EncryptStream(key.ofFile(path)),
      createWriteStream(plain + ENDING, { mode: 0o600, flags: 'wx', flush: true }),
    );
    await rm(plain);
    files.push(digest.file(path));
  }
  return files;
}

async function sizeOf(file: string, path: string): Promise<number> {
  try {
    return (await lstat(file)).size;
  } catch (cause) {
    if (!isErrno(cause, 'ENOENT')) throw cause;
    throw new AgentError('ImageTruncated', `Image ${path} is missing on the source's node.`, {
      cause,
    });
  }
}
