// SPDX-License-Identifier: Apache-2.0
// Images as a tar stream, and back. The sender packs, the image store unpacks. Digests are computed while bytes pass: no
// large file is whole in memory, and none is read twice.
import { createWriteStream } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import { AgentError } from '../../support/errors.ts';
import { Digest, fileOf } from './image-digest.ts';
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

/** One entry of the stream. */
type Entry = tar.Extract extends AsyncIterable<infer Source> ? Source : never;

/** A manifest is a few hundred bytes per file. */
const MAX_MANIFEST_BYTES = 8 << 20;
/** Images up to this size are read and written whole: CRIU writes dozens of small ones, and a stream costs several switches each. */
const SMALL_BYTES = 64 << 10;
/** Buffered before a file takes no more: each write costs a switch of threads. */
const WRITE_BYTES = 1 << 20;

/**
 * Writes images into a tar stream and ends it with the manifest.
 * @param of a manifest, whose digests the receiver compares with the files; or a header, to which this adds the digests
 * @param sealed called with the manifest's digest before the manifest goes out, without which the images are not whole
 * @returns the manifest, once the stream has taken everything
 * @throws AgentError ImageTruncated for a missing file; what reading throws
 */
export async function packImages(
  images: ImageFiles,
  of: ManifestHeader | Manifest,
  pack: tar.Pack,
  sealed?: (digest: string) => Promise<void>,
): Promise<Manifest> {
  const known = 'files' in of ? of.files : undefined;
  const paths = known?.map((file) => file.path) ?? (await images.list());
  const files: ManifestFile[] = [];
  for (const path of paths) {
    const size = await images.size(path);
    if (size <= SMALL_BYTES) {
      const bytes = await images.readWhole(path, size);
      files.push(fileOf(path, bytes));
      await packBytes(pack, path, bytes);
      continue;
    }
    const digest = new Digest();
    const entry = pack.entry({ name: path, size, mode: 0o600, type: 'file' });
    await pipeline(images.read(path, size), digest, entry);
    files.push(digest.file(path));
  }
  const manifest: Manifest = { ...of, files: known ?? files };
  const text = formatManifest(manifest);
  await sealed?.(digestOf(text));
  await packBytes(pack, MANIFEST_NAME, Buffer.from(text));
  pack.finalize();
  return manifest;
}

function packBytes(pack: tar.Pack, name: string, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    pack.entry({ name, mode: 0o600 }, bytes, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

/**
 * Unpacks a tar stream into an empty directory and verifies every file. It syncs nothing and writes no manifest.
 * @throws AgentError ImageTruncated, ImageCorrupt, ImageVersion
 */
export async function unpackImages(stream: Readable, dir: string): Promise<Manifest> {
  const extract = tar.extract();
  const stop = new AbortController();
  const unpacker = new Unpacker(dir, stop.signal);
  const feeding = pipeline(stream, extract);
  const storing = unpacker.store(extract);
  try {
    // If the stream ends within an entry, the extractor may leave its reader waiting: feeding fails then.
    await Promise.all([feeding, storing]);
    return unpacker.finish();
  } catch (error) {
    stop.abort();
    stream.destroy();
    throw unpacker.failure ?? asImageError(error);
  }
}

/** Stores the entries of a stream and remembers what they were. */
class Unpacker {
  readonly #dir: string;
  readonly #signal: AbortSignal;
  readonly #stored: ManifestFile[] = [];
  #manifest: Manifest | undefined;
  /** The error while storing. It says more than the broken stream that it causes. */
  failure: AgentError | undefined;

  constructor(dir: string, signal: AbortSignal) {
    this.#dir = dir;
    this.#signal = signal;
  }

  async store(extract: tar.Extract): Promise<void> {
    for await (const entry of extract) {
      try {
        await this.#entry(entry);
      } catch (error) {
        if (error instanceof AgentError) this.failure ??= error;
        throw error;
      }
    }
  }

  finish(): Manifest {
    if (!this.#manifest) {
      throw new AgentError('ImageTruncated', 'The images came without a manifest.');
    }
    verifyFiles(this.#manifest.files, this.#stored);
    return this.#manifest;
  }

  async #entry(entry: Entry): Promise<void> {
    const { name, type } = entry.header;
    if (this.#manifest)
      throw new AgentError('ImageCorrupt', `An entry follows the manifest of the images: ${name}.`);
    if (type !== 'file' || !isInside(name)) {
      throw new AgentError(
        'ImageCorrupt',
        `The images have an entry that is not a plain file in their directory: ${type} ${name}.`,
      );
    }
    if (name === MANIFEST_NAME) {
      this.#manifest = parseManifest(await readText(entry, MAX_MANIFEST_BYTES));
    } else {
      this.#stored.push(await storeFile(entry, join(this.#dir, name), name, this.#signal));
    }
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
  if (isTarDamage(error)) {
    return new AgentError('ImageCorrupt', `The stream of images is damaged: ${error.message}.`, {
      cause: error,
    });
  }
  return error;
}

async function storeFile(
  entry: Entry,
  file: string,
  path: string,
  signal: AbortSignal,
): Promise<ManifestFile> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  if (entry.header.size !== undefined && entry.header.size <= SMALL_BYTES) {
    const bytes = await readWhole(entry);
    await writeFile(file, bytes, { mode: 0o600, flag: 'wx', signal });
    return fileOf(path, bytes);
  }
  const digest = new Digest();
  const output = createWriteStream(file, { mode: 0o600, flags: 'wx', highWaterMark: WRITE_BYTES });
  await pipeline(entry, digest, output, { signal });
  return digest.file(path);
}

async function readText(entry: Entry, limit: number): Promise<string> {
  if ((entry.header.size ?? 0) > limit) {
    throw new AgentError(
      'ImageCorrupt',
      `The manifest of the images is longer than ${limit} bytes.`,
    );
  }
  return (await readWhole(entry)).toString('utf8');
}

/** The extractor gives as many bytes as the entry's header says. */
async function readWhole(entry: Entry): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of entry as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
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

function isTarDamage(error: unknown): error is Error {
  return error instanceof Error && /tar header|checksum|Invalid/i.test(error.message);
}
