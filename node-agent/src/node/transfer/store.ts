// SPDX-License-Identifier: Apache-2.0
// Where images lie on a node: <root>/<id>/<container>/..., whole and verified or not there at all.
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { AgentError, isErrno } from '../../support/errors.ts';
import {
  digestOf,
  formatManifest,
  MANIFEST_NAME,
  parseManifest,
  type Manifest,
  type ManifestHeader,
} from './manifest.ts';
import { syncPath } from '../../support/durable.ts';
import { syncFolders, syncTree } from '../host/durable.ts';
import { digestFiles, unpackImages } from './pack.ts';

const idPattern = /^[a-z0-9][a-z0-9.-]{0,127}$/i;
const INCOMING = '.incoming-';

export class ImageStore {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** Folder of one request's images. @throws AgentError BadRequest for an id that is no file name. */
  dir(id: string): string {
    if (!idPattern.test(id)) throw new AgentError('BadRequest', `not an image id: ${id}`);
    return join(this.#root, id);
  }

  /** An empty folder for one container's dump, replacing a former attempt. */
  async create(id: string, container: string): Promise<string> {
    const dir = join(this.dir(id), container);
    await rm(dir, { recursive: true, force: true });
    await mkdir(dir, { recursive: true, mode: 0o700 });
    return dir;
  }

  /**
   * Takes a stream in; the images appear in their folder only when every byte is verified. If the very same are there
   * already, those stay: a restore may be reading them, sent again by who did not hear that they had arrived.
   * @param own the id that the images have to have: a checkpoint's are kept once for each restore from it
   */
  async receive(id: string, stream: Readable, own = id): Promise<Manifest> {
    const final = this.dir(id);
    const incoming = join(this.#root, `${INCOMING}${id}`);
    await rm(incoming, { recursive: true, force: true });
    await mkdir(incoming, { recursive: true, mode: 0o700 });
    try {
      const manifest = await unpackImages(stream, incoming);
      if (manifest.id !== own) {
        throw new AgentError('UnexpectedImages', `these are the images of ${manifest.id}`);
      }
      const kept = await this.manifest(id).catch(() => undefined);
      if (kept?.digest === digestOf(formatManifest(manifest))) {
        await rm(incoming, { recursive: true, force: true });
        return manifest;
      }
      await syncFolders(incoming);
      await rm(final, { recursive: true, force: true });
      await rename(incoming, final);
      await syncPath(this.#root);
      return manifest;
    } catch (error) {
      await rm(incoming, { recursive: true, force: true });
      throw error;
    }
  }

  /** Computes the digests of what lies in the folder and keeps them beside it. */
  async seal(id: string, header: ManifestHeader): Promise<Manifest> {
    const files = await digestFiles(this.dir(id));
    // A manifest promises files: they have to outlive a power cut first.
    await syncTree(this.dir(id));
    return this.keep(id, { ...header, files });
  }

  async keep(id: string, manifest: Manifest): Promise<Manifest> {
    const dir = this.dir(id);
    const temporary = join(dir, `${MANIFEST_NAME}.new`);
    await writeFile(temporary, formatManifest(manifest), { mode: 0o600, flush: true });
    await rename(temporary, join(dir, MANIFEST_NAME));
    await syncPath(dir);
    return manifest;
  }

  /** The manifest of images that are whole; undefined if there are none. @throws AgentError */
  async manifest(id: string): Promise<{ manifest: Manifest; digest: string } | undefined> {
    try {
      const text = await readFile(join(this.dir(id), MANIFEST_NAME), 'utf8');
      return { manifest: parseManifest(text), digest: digestOf(text) };
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  async remove(id: string): Promise<void> {
    await rm(this.dir(id), { recursive: true, force: true });
  }

  /** Ids that have a folder. */
  async ids(): Promise<string[]> {
    try {
      const entries = await readdir(this.#root, { withFileTypes: true });
      return entries.filter((e) => e.isDirectory() && !e.name.startsWith('.')).map((e) => e.name);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return [];
      throw error;
    }
  }
}
