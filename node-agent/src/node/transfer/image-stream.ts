// SPDX-License-Identifier: Apache-2.0
// A checkpoint's folder as a tar stream, and back. Digests are computed while bytes pass by: no file is ever
// whole in memory, and none is read twice.
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { lstat, mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { Transform, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import { AgentError } from '../../support/errors.ts';
import {
  formatManifest,
  isInside,
  MANIFEST_NAME,
  parseManifest,
  verifyFiles,
  type Manifest,
  type ManifestFile,
  type ManifestHeader,
} from './manifest.ts';

/** One entry while its bytes pass by. */
type Entry = tar.Extract extends AsyncIterable<infer Source> ? Source : never;

/** A manifest is a few hundred bytes per file. */
const MAX_MANIFEST_BYTES = 8 << 20;

/** Regular files of a folder, relative paths with `/`, sorted, the manifest left out. */
export async function listFiles(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((path) => path !== MANIFEST_NAME)
    .sort();
}

class Digest extends Transform {
  readonly #hash = createHash('sha256');
  size = 0;

  override _transform(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error: null, chunk: Buffer) => void,
  ): void {
    this.#hash.update(chunk);
    this.size += chunk.length;
    done(null, chunk);
  }

  file(path: string): ManifestFile {
    return { path, size: this.size, sha256: this.#hash.digest('hex') };
  }
}

/** Digests of a folder's files as they lie there. */
export async function digestFiles(dir: string): Promise<ManifestFile[]> {
  const files: ManifestFile[] = [];
  for (const path of await listFiles(dir)) {
    const digest = new Digest();
    digest.resume();
    await pipeline(createReadStream(join(dir, path)), digest);
    files.push(digest.file(path));
  }
  return files;
}

/**
 * Writes a folder into a tar stream and ends it with the manifest. With a whole manifest the files go as they
 * are and the receiver finds out whether they still match it; with a header alone the digests are computed on
 * the way. Resolves with the manifest once the stream has taken everything.
 */
export async function packImages(
  dir: string,
  of: ManifestHeader | Manifest,
  pack: tar.Pack,
): Promise<Manifest> {
  const kept = 'files' in of ? of.files : undefined;
  const paths = kept?.map((file) => file.path) ?? (await listFiles(dir));
  const files: ManifestFile[] = [];
  for (const path of paths) {
    const { size } = await sizeOf(join(dir, path), path);
    const digest = new Digest();
    if (size === 0) {
      pack.entry({ name: path, mode: 0o600 }, '');
      files.push(digest.file(path));
      continue;
    }
    const entry = pack.entry({ name: path, size, mode: 0o600, type: 'file' });
    await pipeline(createReadStream(join(dir, path), { end: size - 1 }), digest, entry);
    files.push(digest.file(path));
  }
  const manifest: Manifest = { ...of, files: kept ?? files };
  const text = formatManifest(manifest);
  await new Promise<void>((resolve, reject) => {
    pack.entry({ name: MANIFEST_NAME, mode: 0o600 }, text, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
  pack.finalize();
  return manifest;
}

async function sizeOf(file: string, path: string): Promise<{ size: number }> {
  try {
    return await lstat(file);
  } catch (cause) {
    throw new AgentError('ImageTruncated', `${path} is missing on the source's node`, { cause });
  }
}

/**
 * Unpacks a tar stream into an empty folder, verifies every file and makes them durable.
 * @throws AgentError ImageTruncated, ImageCorrupt, ImageVersion
 */
export async function unpackImages(stream: Readable, dir: string): Promise<Manifest> {
  const extract = tar.extract();
  const stop = new AbortController();
  const unpacker = new Unpacker(dir, stop.signal);
  const feeding = pipeline(stream, extract);
  const storing = unpacker.store(extract);
  try {
    // Cut in an entry's middle, the extractor may leave its reader waiting: the feeding's failure counts too.
    await Promise.all([feeding, storing]);
    return unpacker.finish();
  } catch (error) {
    stop.abort();
    stream.destroy();
    throw unpacker.failure ?? asImageError(error);
  }
}

class Unpacker {
  readonly #dir: string;
  readonly #signal: AbortSignal;
  readonly #got: ManifestFile[] = [];
  #manifest: Manifest | undefined;
  /** The reason found while storing; it says more than the broken stream that it causes. */
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
      throw new AgentError('ImageTruncated', 'the images came without a manifest');
    }
    verifyFiles(this.#manifest.files, this.#got);
    return this.#manifest;
  }

  async #entry(entry: Entry): Promise<void> {
    const { name, type } = entry.header;
    if (this.#manifest) throw new AgentError('ImageCorrupt', `${name} follows the manifest`);
    if (type !== 'file' || !isInside(name)) {
      throw new AgentError('ImageCorrupt', `the images hold a bad entry: ${type} ${name}`);
    }
    if (name === MANIFEST_NAME) {
      const text = await readText(entry, MAX_MANIFEST_BYTES);
      this.#manifest = parseManifest(text);
      await writeFile(join(this.#dir, MANIFEST_NAME), text, { mode: 0o600, flush: true });
    } else {
      this.#got.push(await storeFile(entry, join(this.#dir, name), name, this.#signal));
    }
  }
}

function asImageError(error: unknown): unknown {
  if (error instanceof AgentError) return error;
  if (isCut(error)) {
    return new AgentError('ImageTruncated', 'the stream of images ended early', { cause: error });
  }
  if (isTarDamage(error)) {
    return new AgentError('ImageCorrupt', `the stream of images is damaged: ${error.message}`, {
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
  const digest = new Digest();
  const output = createWriteStream(file, { mode: 0o600, flags: 'wx', flush: true });
  await pipeline(entry, digest, output, { signal });
  return digest.file(path);
}

async function readText(entry: Entry, limit: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of entry as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) throw new AgentError('ImageCorrupt', `the manifest exceeds ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

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
