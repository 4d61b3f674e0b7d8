// SPDX-License-Identifier: Apache-2.0
// The images on this node: <root>/<id>/<container>/... with a manifest once they are whole and verified. The
// checkpointer writes into it, the receiver receives into it, the restorer reads from it; reconcilers and orphan sweep
// remove. Images that are kept are encrypted (docs/adr/0016).
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { withFaults } from '../../../../kube/src/index.ts';
import { AgentError, isErrno, reasonOf, unlessErrno, type Failure } from '../../support/errors.ts';
import { textOf } from '../../support/optional-file.ts';
import { DataKey, KEY_NAME, parseWrappedKey } from '../encryption/data-key.ts';
import type { ImageKeys } from '../encryption/image-keys.ts';
import {
  digestOf,
  formatManifest,
  MANIFEST_NAME,
  parseManifest,
  verifyFiles,
  type Manifest,
  type ManifestFile,
  type ManifestHeader,
} from './manifest.ts';
import { syncPath } from '../../support/durable.ts';
import { bootId } from '../host/boot-id.ts';
import { syncTree } from '../host/fsync.ts';
import { Digest, digestFiles } from './image-digest.ts';
import { EncryptedFiles, encryptFiles, PlainFiles, type ImageFiles } from './image-files.ts';
import { unpackImages } from './image-stream.ts';

const idPattern = /^[a-z0-9][a-z0-9.-]{0,127}$/i;
const INCOMING = '.incoming-';
/**
 * The manifest of images that are not synced yet. After a loss of power the files may be empty or old, so that the name counts
 * only until the next boot.
 */
const UNSYNCED_NAME = `${MANIFEST_NAME}.boot-${bootId()}`;

/** Whether kept images are encrypted, and the keys by which those are read that were. */
export interface ImageEncryption {
  isOn: boolean;
  keys: ImageKeys;
}

export class ImageStore {
  readonly #root: string;
  readonly #encryption: ImageEncryption | undefined;
  readonly #persisting = new Map<string, Promise<void>>();

  /** @param encryption absent: kept images are stored as they are */
  constructor(root: string, encryption?: ImageEncryption) {
    this.#root = root;
    this.#encryption = encryption;
  }

  /** Directory of the images with this id. @throws AgentError BadRequest for an id that is not a file name */
  dir(id: string): string {
    if (!idPattern.test(id)) throw new AgentError('BadRequest', `Not an id of images: ${id}.`);
    return join(this.#root, id);
  }

  /** Bytes that the disk has left for images; undefined: it does not say. */
  async freeBytes(): Promise<number | undefined> {
    const found = await unlessErrno(statfs(this.#root), 'ENOENT');
    // ramfs has no size, and says that it has no blocks.
    return found && found.blocks > 0 ? found.bavail * found.bsize : undefined;
  }

  /** Makes an empty directory for one container's dump, in place of an earlier attempt's. @returns its path */
  async createDirectory(id: string, container: string): Promise<string> {
    const dir = join(this.dir(id), container);
    await rm(dir, { recursive: true, force: true });
    await mkdir(dir, { recursive: true, mode: 0o700 });
    return dir;
  }

  /**
   * Unpacks a stream. The images appear in their directory only after every byte was verified. They are synced meanwhile, and
   * survive a loss of power once `persist` has resolved. If the directory has the same images already, those stay, because a
   * restore may be reading them: a sender that got no reply sends again.
   * @param ownId the id that the manifest must have. It differs from the directory's for a restore from a checkpoint of
   * another node.
   * @throws AgentError UnexpectedImages, ImageTruncated, ImageCorrupt, ImageVersion; ENOSPC
   */
  async receive(id: string, stream: Readable, ownId = id): Promise<Manifest> {
    const received = await this.#incoming(id, async (incoming, replace) => {
      const manifest = await unpackImages(stream, incoming);
      if (manifest.id !== ownId) {
        throw new AgentError(
          'UnexpectedImages',
          `The sender has sent images of ${manifest.id}, but this node awaits those of ${ownId}.`,
        );
      }
      const stored = await this.manifest(id).catch(() => undefined);
      const text = formatManifest(manifest);
      if (stored?.digest === digestOf(text)) return manifest;
      await writeFile(join(incoming, UNSYNCED_NAME), text, { mode: 0o600 });
      await this.#persisting.get(id)?.catch(() => undefined);
      this.#persisting.delete(id);
      await replace();
      return manifest;
    });
    // Whoever needs them asks again: images that could not be synced are gone.
    this.persist(id).catch(() => undefined);
    return received;
  }

  /**
   * Resolves once a loss of power cannot undo the images any more. The restore does not wait for it, but the decision does:
   * from then on they may be the pod's only copy (docs/adr/0024).
   * @throws AgentError CheckpointNotFound, ImageCorrupt
   */
  async persist(id: string): Promise<void> {
    const begun = this.#persisting.get(id);
    if (begun) return begun;
    const work = this.#persist(id);
    this.#persisting.set(id, work);
    try {
      await work;
    } catch (error) {
      if (this.#persisting.get(id) === work) this.#persisting.delete(id);
      throw error;
    }
  }

  /** Until the manifest has its name, the images count for nothing after the next boot. */
  async #persist(id: string): Promise<void> {
    const dir = this.dir(id);
    const final = join(dir, MANIFEST_NAME);
    try {
      // An agent that has ended since may have got as far as the name.
      if ((await textOf(final)) === undefined) {
        await this.syncFiles(dir);
        await rename(join(dir, UNSYNCED_NAME), final);
      }
    } catch (cause) {
      if (isErrno(cause, 'ENOENT')) {
        throw new AgentError('CheckpointNotFound', `This node stores no images of ${id}.`, {
          cause,
        });
      }
      // The kernel reports a page that it could not write once: the next fsync would succeed without it.
      await rm(join(dir, UNSYNCED_NAME), { force: true });
      const why = `The images of ${id} could not be written to the disk: ${String(cause)}. Check the target node's disk.`;
      throw new AgentError('ImageCorrupt', why, { cause });
    }
    await syncPath(dir);
    await syncPath(this.#root);
  }

  protected syncFiles(dir: string): Promise<void> {
    return syncTree(dir);
  }

  /**
   * Makes images that are to be kept whole: encrypts them, or leaves them as they are if encryption is off, computes their
   * digests, syncs them and writes the manifest. Until the manifest is there, the images count for nothing.
   * @returns the manifest, of the plain images
   * @throws AgentError ImageKeyMissing, ImageKeyWrong; ENOSPC
   */
  async seal(id: string, header: ManifestHeader): Promise<Manifest> {
    const files = this.#encryption?.isOn
      ? await withFaults('checkpoint.encrypt', () => this.#encrypt(id))
      : await digestFiles(this.dir(id));
    // After a loss of power a manifest must not list files that were not written, nor may plain ones come back.
    await syncTree(this.dir(id));
    return this.saveManifest(id, { ...header, files });
  }

  /** Why images can't be encrypted now; undefined if they can, or need not be. */
  async keyProblem(): Promise<Failure | undefined> {
    if (!this.#encryption?.isOn) return undefined;
    return problemOf(this.#encryption.keys.newest());
  }

  /** Why the stored images can't be read, as far as their key tells; undefined for images that are not encrypted. */
  async storedKeyProblem(id: string): Promise<Failure | undefined> {
    return problemOf(this.#dataKey(id));
  }

  /** Whole images, to be read as plain bytes. @throws AgentError ImageKeyMissing, ImageKeyWrong, ImageVersion, ImageCorrupt */
  async files(id: string, { files }: Pick<Manifest, 'files'>): Promise<ImageFiles> {
    const key = await this.#dataKey(id);
    return key ? new EncryptedFiles(this.dir(id), key, files) : new PlainFiles(this.dir(id));
  }

  /** Whether the images were encrypted when they were sealed. */
  async isEncrypted(id: string): Promise<boolean> {
    return (await this.#wrappedKey(id)) !== undefined;
  }

  /**
   * Decrypts images into a directory of their own, for CRIU, which reads files. They appear there only after every byte was
   * verified. They are not synced: the encrypted ones are still there.
   * @param copyId the directory's id. What is there already is replaced.
   * @throws AgentError ImageKeyMissing, ImageKeyWrong, ImageTruncated, ImageCorrupt; ENOSPC; AbortError
   */
  async decrypt(
    id: string,
    manifest: Manifest,
    copyId: string,
    signal?: AbortSignal,
  ): Promise<void> {
    const images = await this.files(id, manifest);
    await this.#incoming(copyId, async (incoming, replace) => {
      const copied: ManifestFile[] = [];
      for (const { path } of manifest.files) {
        const [file, digest] = [join(incoming, path), new Digest()];
        await mkdir(dirname(file), { recursive: true, mode: 0o700 });
        const output = createWriteStream(file, { mode: 0o600, flags: 'wx' });
        const input = images.read(path, await images.size(path));
        await pipeline(input, digest, output, ...(signal ? [{ signal }] : []));
        copied.push(digest.file(path));
      }
      verifyFiles(manifest.files, copied);
      signal?.throwIfAborted();
      await writeFile(join(incoming, MANIFEST_NAME), formatManifest(manifest), { mode: 0o600 });
      await replace();
    });
  }

  /**
   * Lets images appear in their directory as a whole or not at all.
   * @param work fills the incoming directory, and calls `replace` when it is to take the place of what is there
   */
  async #incoming<T>(
    id: string,
    work: (incoming: string, replace: () => Promise<void>) => Promise<T>,
  ): Promise<T> {
    const [final, incoming] = [this.dir(id), join(this.#root, `${INCOMING}${id}`)];
    await rm(incoming, { recursive: true, force: true });
    await mkdir(incoming, { recursive: true, mode: 0o700 });
    try {
      return await work(incoming, async () => {
        await rm(final, { recursive: true, force: true });
        await rename(incoming, final);
      });
    } finally {
      await rm(incoming, { recursive: true, force: true });
    }
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

  /**
   * The manifest of whole images, with its digest; undefined if there is none. Images that were received since the node's last
   * boot are whole, synced or not.
   * @throws AgentError ImageVersion, ImageCorrupt
   */
  async manifest(id: string): Promise<{ manifest: Manifest; digest: string } | undefined> {
    for (const name of [MANIFEST_NAME, UNSYNCED_NAME, MANIFEST_NAME]) {
      // The last: it may have got its name between the first two.
      const text = await textOf(join(this.dir(id), name));
      if (text !== undefined) return { manifest: parseManifest(text), digest: digestOf(text) };
    }
    return undefined;
  }

  /** Removes the images. Does nothing if there are none. */
  async remove(id: string): Promise<void> {
    await this.#persisting.get(id)?.catch(() => undefined);
    this.#persisting.delete(id);
    await rm(this.dir(id), { recursive: true, force: true });
  }

  /** The images' data key goes to the disk before the first image that it encrypts. */
  async #encrypt(id: string): Promise<ManifestFile[]> {
    const dir = this.dir(id);
    const newest = await this.#keys().newest();
    const dataKey = DataKey.make();
    const text = `${JSON.stringify(dataKey.wrap(id, newest), null, 1)}\n`;
    await writeFile(join(dir, KEY_NAME), text, { mode: 0o600, flush: true });
    return encryptFiles(dir, dataKey);
  }

  async #wrappedKey(id: string): Promise<string | undefined> {
    return textOf(join(this.dir(id), KEY_NAME));
  }

  async #dataKey(id: string): Promise<DataKey | undefined> {
    const text = await this.#wrappedKey(id);
    return text === undefined ? undefined : DataKey.unwrap(id, parseWrappedKey(text), this.#keys());
  }

  #keys(): ImageKeys {
    if (this.#encryption) return this.#encryption.keys;
    throw new AgentError(
      'ImageKeyMissing',
      'The agent of this node was started without keys of images. Set imageEncryption.enabled to true in the values of the chart sealift.',
    );
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

async function problemOf(reading: Promise<unknown>): Promise<Failure | undefined> {
  try {
    await reading;
    return undefined;
  } catch (error) {
    if (error instanceof AgentError) return reasonOf(error);
    throw error;
  }
}
