// SPDX-License-Identifier: Apache-2.0
// The files of a directory with their sizes and digests, computed while bytes pass: no file is whole in memory.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { MANIFEST_NAME, type ManifestFile } from './manifest.ts';

/** Relative paths of a directory's regular files, sorted, without the manifest, be it synced or not. */
export async function listFiles(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((path) => !path.startsWith(MANIFEST_NAME))
    .sort();
}

/** Passes bytes on and computes their size and SHA-256. */
export class Digest extends Transform {
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

/** Size and SHA-256 of a file's bytes. */
export function fileOf(path: string, bytes: Buffer): ManifestFile {
  return { path, size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}

/** Size and SHA-256 of every file of a directory. */
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
