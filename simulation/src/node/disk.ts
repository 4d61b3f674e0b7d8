// SPDX-License-Identifier: Apache-2.0
// A node's disk as the agent uses it: the journal's directory and the store of images. The methods that read and write
// files are replaced; everything above them is the product's code.
import { withFaults } from '../../../kube/src/index.ts';
import type { Directory } from '../../../node-agent/src/support/journal/journal-directory.ts';
import {
  digestOf,
  formatManifest,
  type Manifest,
  type ManifestHeader,
} from '../../../node-agent/src/node/transfer/manifest.ts';
import { PlainFiles, type ImageFiles } from '../../../node-agent/src/node/transfer/image-files.ts';
import { AgentError } from '../../../node-agent/src/support/errors.ts';
import { ImageStore } from '../../../node-agent/src/node/transfer/image-store.ts';
import { runEffect } from './kernel.ts';
import type { Machine } from './machine.ts';

/** The journal's directory. A file has its old or its new content, whenever the agent dies. */
export class SimulatedJournalDirectory implements Directory {
  readonly #machine: Machine;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  names(): Promise<string[]> {
    return this.#effect(() => [...this.#machine.journal.keys()]);
  }

  read(name: string): Promise<string> {
    return this.#effect(() => this.#machine.journal.get(name) ?? '');
  }

  async replace(name: string, text: string): Promise<void> {
    await withFaults('journal.replace', () =>
      this.#effect(() => {
        this.#machine.disk.write();
        this.#machine.journal.set(name, text);
      }),
    );
  }

  async remove(name: string): Promise<void> {
    await this.#effect(() => {
      this.#machine.disk.remove();
      this.#machine.journal.delete(name);
    });
  }

  #effect<T>(work: () => T): Promise<T> {
    return runEffect(this.#machine.timeline, 0.5, work);
  }
}

export class SimulatedImageStore extends ImageStore {
  readonly #machine: Machine;

  constructor(machine: Machine) {
    super('/checkpoints');
    this.#machine = machine;
  }

  override saveManifest(id: string, manifest: Manifest): Promise<Manifest> {
    return runEffect(this.#machine.timeline, 3, () => {
      const image = this.#machine.images.get(id);
      if (!image) throw Object.assign(new Error('no such directory'), { code: 'ENOENT' });
      this.#machine.disk.write();
      image.manifest = manifest;
      return manifest;
    });
  }

  override seal(id: string, header: ManifestHeader): Promise<Manifest> {
    return this.saveManifest(id, { ...header, files: [] });
  }

  override persist(id: string): Promise<void> {
    return runEffect(this.#machine.timeline, 30, () => {
      const image = this.#machine.images.get(id);
      if (!image) throw new AgentError('CheckpointNotFound', `There are no images of ${id}.`);
      if (image.manifest) return;
      try {
        this.#machine.disk.write();
      } catch (cause) {
        // What could not be synced counts for nothing any more.
        this.#machine.images.set(id, { ...image, received: undefined });
        throw new AgentError('ImageCorrupt', `The images of ${id} are not on the disk.`, { cause });
      }
      image.manifest = image.received;
    });
  }

  override freeBytes(): Promise<number> {
    return runEffect(this.#machine.timeline, 0.3, () => (this.#machine.disk.isFull ? 0 : 2 ** 40));
  }

  /** Images have no bytes here, and so no key. */
  override keyProblem(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  override storedKeyProblem(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  override isEncrypted(): Promise<boolean> {
    return Promise.resolve(false);
  }

  override async files(id: string): Promise<ImageFiles> {
    return new PlainFiles(this.dir(id));
  }

  override manifest(id: string): Promise<{ manifest: Manifest; digest: string } | undefined> {
    return runEffect(this.#machine.timeline, 0.3, () => {
      const image = this.#machine.images.get(id);
      const manifest = image?.manifest ?? image?.received;
      return manifest && { manifest, digest: digestOf(formatManifest(manifest)) };
    });
  }

  override async remove(id: string): Promise<void> {
    await runEffect(this.#machine.timeline, 1, () => {
      if (!this.#machine.images.has(id)) return;
      this.#machine.disk.remove();
      this.#machine.images.delete(id);
    });
  }

  override ids(): Promise<string[]> {
    return runEffect(this.#machine.timeline, 0.3, () => [...this.#machine.images.keys()]);
  }
}
