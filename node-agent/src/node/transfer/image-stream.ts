// SPDX-License-Identifier: Apache-2.0
// Images as a tar stream, and back. The sender packs, the image store unpacks. Digests are computed while bytes pass: no
// large file is whole in memory, and none is read twice.
import { createHash, type Hash } from 'node:crypto';
import { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { Writable, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AgentError } from '../../support/errors.ts';
import { FileWriter, type OpenFile } from './file-writer.ts';
import { fileOf } from './image-digest.ts';
import type { ImageFiles } from './image-files.ts';
import {
  digestOf,
  formatManifest,
  isInside,
  MANIFEST_NAME,
  parseManifest,
  verifyFiles,
  type Manifest,
  type ManifestFile,
  type ManifestHeader,
} from './manifest.ts';
import {
  encodeHeader,
  END_OF_ARCHIVE,
  paddingOf,
  TarReader,
  type TarHeader,
  type TarSink,
} from './tar-format.ts';

/** A manifest is a few hundred bytes per file. */
const MAX_MANIFEST_BYTES = 8 << 20;
/** Images up to this size are read and written whole: CRIU writes dozens of small ones, and a stream costs several switches each. */
const SMALL_BYTES = 64 << 10;
/** How many of them are read before their turn. */
const READ_AHEAD = 16;

/** Where packed images go. */
export interface ByteSink {
  /** Resolves once the bytes may be overwritten. */
  write(bytes: Buffer): Promise<void>;
}

/**
 * Writes images as a tar archive that ends with the manifest.
 * @param of a manifest, whose digests the receiver compares with the files; or a header, to which this adds the digests
 * @param sealed called with the manifest's digest before the manifest goes out, without which the images are not whole
 * @returns the manifest, once the sink has taken everything
 * @throws AgentError ImageTruncated for a missing file; what reading throws
 */
export async function packImages(
  images: ImageFiles,
  of: ManifestHeader | Manifest,
  sink: ByteSink,
  sealed?: (digest: string) => Promise<void>,
): Promise<Manifest> {
  const known = 'files' in of ? of.files : undefined;
  const paths = known?.map((file) => file.path) ?? (await images.list());
  const files: ManifestFile[] = [];
  const ahead = paths.slice(0, READ_AHEAD).map((path) => openImage(images, path));
  try {
    for (const [at, path] of paths.entries()) {
      const next = paths[at + READ_AHEAD];
      if (next !== undefined) ahead.push(openImage(images, next));
      const { size, bytes } = (await ahead.shift()) ?? { size: 0, bytes: undefined };
      if (bytes) files.push(await packBytes(sink, path, bytes));
      else files.push(await packLarge(images, sink, path, size));
    }
  } finally {
    await Promise.allSettled(ahead);
  }
  const manifest: Manifest = { ...of, files: known ?? files };
  const text = formatManifest(manifest);
  await sealed?.(digestOf(text));
  await packBytes(sink, MANIFEST_NAME, Buffer.from(text), END_OF_ARCHIVE);
  return manifest;
}

/** Size of an image, and its bytes if it is a small one. */
function openImage(
  images: ImageFiles,
  path: string,
): Promise<{ size: number; bytes: Buffer | undefined }> {
  const opening = images.size(path).then(async (size) => ({
    size,
    bytes: size <= SMALL_BYTES ? await images.readWhole(path, size) : undefined,
  }));
  // Whoever takes it gets the error.
  opening.catch(() => undefined);
  return opening;
}

async function packBytes(
  sink: ByteSink,
  path: string,
  bytes: Buffer,
  after = Buffer.alloc(0),
): Promise<ManifestFile> {
  const padding = Buffer.alloc(paddingOf(bytes.length));
  await sink.write(Buffer.concat([encodeHeader(path, bytes.length), bytes, padding, after]));
  return fileOf(path, bytes);
}

/** One chunk is read while the one before it is sent. */
async function packLarge(
  images: ImageFiles,
  sink: ByteSink,
  path: string,
  size: number,
): Promise<ManifestFile> {
  const hash = createHash('sha256');
  let writing = sink.write(encodeHeader(path, size));
  let packed = 0;
  try {
    for await (const chunk of images.chunks(path, size)) {
      hash.update(chunk);
      packed += chunk.length;
      await writing;
      writing = sink.write(chunk);
      writing.catch(() => undefined);
    }
  } finally {
    // The buffer is overwritten only afterwards.
    await writing;
  }
  if (packed !== size) {
    throw new AgentError('ImageTruncated', `Image ${path} has changed while it was read.`);
  }
  const padding = paddingOf(size);
  if (padding > 0) await sink.write(Buffer.alloc(padding));
  return { path, size, sha256: hash.digest('hex') };
}

/**
 * Unpacks a tar archive into an empty directory and verifies every file. It syncs nothing and writes no manifest.
 * @throws AgentError ImageTruncated, ImageCorrupt, ImageVersion
 */
export async function unpackImages(stream: Readable, dir: string): Promise<Manifest> {
  const unpacker = new Unpacker(dir);
  const reader = new TarReader(unpacker);
  // Nobody else has what comes of a request.
  const isOwned = stream instanceof IncomingMessage;
  const output = new Writable({
    highWaterMark: SMALL_BYTES,
    write(chunk: Buffer, _encoding, done): void {
      let wait: Promise<void> | undefined;
      try {
        reader.push(chunk);
        if (isOwned && !reader.keeps && !unpacker.keeps) release(chunk);
        wait = unpacker.files.drain();
      } catch (error) {
        return done(error as Error);
      }
      if (wait) wait.then(() => done(), done);
      else done();
    },
  });
  try {
    await pipeline(stream, output);
    reader.finish();
    await unpacker.files.settle();
    return unpacker.finish();
  } catch (error) {
    stream.destroy();
    unpacker.giveUp();
    // Nothing may be written once the caller removes the directory.
    await unpacker.files.settle().catch(() => undefined);
    throw asImageError(error);
  }
}

/**
 * Frees a buffer of a connection at once. Otherwise each 64 MiB of them make the garbage collector mark the agent's whole heap, in
 * the middle of a blackout.
 */
function release({ buffer, byteOffset, byteLength }: Buffer): void {
  // One that is a part of another belongs to somebody else.
  if (buffer instanceof ArrayBuffer && byteOffset === 0 && byteLength === buffer.byteLength) {
    buffer.transfer(0);
  }
}

/** Stores the entries of an archive and remembers what they were. */
class Unpacker implements TarSink {
  readonly #dir: string;
  readonly #stored: ManifestFile[] = [];
  readonly files = new FileWriter();
  #manifest: Manifest | undefined;
  #name = '';
  #size = 0;
  /** The bytes of a small image, or of the manifest. */
  #bytes: Buffer[] = [];
  #large: { readonly file: OpenFile; readonly hash: Hash } | undefined;

  constructor(dir: string) {
    this.#dir = dir;
  }

  begin({ name, type, size }: TarHeader): void {
    if (this.#manifest)
      throw new AgentError('ImageCorrupt', `An entry follows the manifest of the images: ${name}.`);
    if (type !== 'file' || !isInside(name)) {
      throw new AgentError(
        'ImageCorrupt',
        `The images have an entry that is not a plain file in their directory: ${type} ${name}.`,
      );
    }
    if (name === MANIFEST_NAME && size > MAX_MANIFEST_BYTES) {
      throw new AgentError(
        'ImageCorrupt',
        `The manifest of the images is longer than ${MAX_MANIFEST_BYTES} bytes.`,
      );
    }
    if (this.#stored.some((one) => one.path === name)) {
      throw new AgentError('ImageCorrupt', `Image ${name} came twice.`);
    }
    [this.#name, this.#size] = [name, size];
    if (size > SMALL_BYTES && name !== MANIFEST_NAME) {
      this.#large = { file: this.files.open(join(this.#dir, name)), hash: createHash('sha256') };
    }
  }

  bytes(some: Buffer): void {
    if (!this.#large) {
      this.#bytes.push(some);
      return;
    }
    this.#large.hash.update(some);
    this.#large.file.write(some);
  }

  end(): void {
    const path = this.#name;
    if (this.#large) {
      const { file, hash } = this.#large;
      this.#large = undefined;
      file.end();
      this.#stored.push({ path, size: this.#size, sha256: hash.digest('hex') });
      return;
    }
    const bytes = Buffer.concat(this.#bytes);
    this.#bytes = [];
    if (path === MANIFEST_NAME) {
      this.#manifest = parseManifest(bytes.toString('utf8'));
      return;
    }
    this.files.whole(join(this.#dir, path), bytes);
    this.#stored.push(fileOf(path, bytes));
  }

  /** Whether pieces of what has come are kept until more comes. */
  get keeps(): boolean {
    return this.#bytes.length > 0;
  }

  /** Closes the file that is being written. */
  giveUp(): void {
    this.#large?.file.end();
    this.#large = undefined;
  }

  finish(): Manifest {
    if (!this.#manifest) {
      throw new AgentError('ImageTruncated', 'The images came without a manifest.');
    }
    verifyFiles(this.#manifest.files, this.#stored);
    return this.#manifest;
  }
}

function asImageError(error: unknown): unknown {
  if (error instanceof AgentError) return error;
  if (isCut(error)) {
    return new AgentError(
      'ImageTruncated',
      'The stream of images ended early. See the network between the nodes.',
      { cause: error },
    );
  }
  return error;
}

/** Whether a stream has ended early. */
function isCut(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return (
    ['ERR_STREAM_PREMATURE_CLOSE', 'ECONNRESET', 'ABORT_ERR'].includes(code) ||
    /Unexpected end of data|Writable stream closed|aborted/i.test(error.message)
  );
}
