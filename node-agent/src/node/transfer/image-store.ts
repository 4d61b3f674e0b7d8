// SPDX-License-Identifier: Apache-2.0
// The images on this node: <root>/<id>/<container>/... with a manifest once they are whole and verified. The
// checkpointer writes into it, the receiver receives into it, the restorer reads from it; reconcilers and orphan sweep
// remove.
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
import { syncFolders, syncTree } from '../host/fsync.ts';
import { digestFiles, unpackImages } from './image-stream.ts';

const idPattern = /^[a-z0-9][a-z0-9.-]{0,127}$/i;
const INCOMING = '.incoming-';

export class ImageStore {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** Folder of the images with this id. @throws AgentError BadRequest for an id that is not a file name */
  dir(id: string): string {
    if (!idPattern.test(id)) throw new AgentError('BadRequest', `Not an id of images: ${id}.`);
    return join(this.#root, id);
  }

  /** Makes an empty folder for one container's dump, in place of an earlier attempt's. @returns its path */
  async createFolder(id: string, container: string): Promise<string> {
    const dir = join(this.dir(id), container);
    await rm(dir, { recursive: true, force: true });
    await mkdir(dir, { recursive: true, mode: 0o700 });
    return dir;
  }

  /**
   * Unpacks a stream. The images appear in their folder only after every byte was verified and synced. If the folder has
   * the same images already, those stay, because a restore may be reading them: a sender that got no reply sends again.
   * @param ownId the id that the manifest must have. It differs from the folder's for a restore from a checkpoint of
   * another node.
   * @throws AgentError UnexpectedImages, ImageTruncated, ImageCorrupt, ImageVersion; ENOSPC
   */
  async receive(id: string, stream: Readable, ownId = id): Promise<Manifest> {
    const final = this.dir(id);
    const incoming = join(this.#root, `${INCOMING}${id}`);
    await rm(incoming, { recursive: true, force: true });
    await mkdir(incoming, { recursive: true, mode: 0o700 });
    try {
      const manifest = await unpackImages(stream, incoming);
      if (manifest.id !== ownId) {
        throw new AgentError(
          'UnexpectedImages',
          `The sender has sent images of ${manifest.id}, but this node awaits those of ${ownId}.`,
        );
      }
      const stored = await this.manifest(id).catch(() => undefined);
      if (stored?.digest === digestOf(formatManifest(manifest))) {
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

  /** Computes the digests of a folder's files, syncs them and writes the manifest. @returns the manifest */
  async seal(id: string, header: ManifestHeader): Promise<Manifest> {
    const files = await digestFiles(this.dir(id));
    // After a loss of power a manifest must not list files that were not written.
    await syncTree(this.dir(id));
    return this.saveManifest(id, { ...header, files });
  }

  /** Writes manifest.json by rename and syncs it. @returns the manifest */
  async saveManifest(id: string, manifest: Manifest): Promise<Manifest> {
    const dir = this.dir(id);
    const temporary = join(dir, `${MANIFEST_NAME}.new`);
    await writeFile(temporary, formatManifest(manifest), { mode: 0o600, flush: true });
    await rename(temporary, join(dir, MANIFEST_NAME));
    await syncPath(dir);
    return manifest;
  }

  /** The manifest of whole images, with its digest; undefined if there is none. @throws AgentError ImageVersion, ImageCorrupt */
  async manifest(id: string): Promise<{ manifest: Manifest; digest: string } | undefined> {
    try {
      const text = await readFile(join(this.dir(id), MANIFEST_NAME), 'utf8');
      return { manifest: parseManifest(text), digest: digestOf(text) };
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  /** Removes the images. Does nothing if there are none. */
  async remove(id: string): Promise<void> {
    await rm(this.dir(id), { recursive: true, force: true });
  }

  /** Ids of all images, whole or not. */
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
