// SPDX-License-Identifier: Apache-2.0
// The dumps whose programs this agent has started before it locks a pod, one for each container. None of them has to be
// there: a dump without one starts its programs itself. The checkpointer calls it.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../../../kube/src/index.ts';
import { messageOf } from '../../../../kube/src/index.ts';
import type { Host } from '../host/host.ts';
import type { AheadDump } from '../runtime/ahead-dump.ts';
import type { Container } from '../runtime/containers.ts';
import type { Runc } from '../runtime/runc.ts';
import type { ImageStore } from '../transfer/image-store.ts';

/** The pod runs meanwhile. */
const WAIT_MS = 10_000;

export interface AheadParts {
  host: Host;
  runc: Pick<Runc, 'startAhead' | 'endFormerDump'>;
  store: Pick<ImageStore, 'createDirectory'>;
  workRoot: string;
  socketPath: string;
  log: Logger;
}

interface Started {
  podUid: string;
  /** Directory of the images. */
  id: string;
  dump: AheadDump;
}

export class AheadDumps {
  readonly #parts: AheadParts;
  /** By the container's id. */
  readonly #started = new Map<string, Started>();

  constructor(parts: AheadParts) {
    this.#parts = parts;
  }

  /** Starts them, and resolves once all wait, or after 10 s. Never throws. @param id directory of the images */
  async start(
    { podUid, containers }: { podUid: string; containers: readonly Container[] },
    id: string,
  ): Promise<void> {
    const starting = containers.map(async (container) => {
      try {
        await this.#startOne(podUid, container, id);
      } catch (error) {
        this.#parts.log.warn(
          { container: container.name, detail: messageOf(error) },
          'no dump ahead',
        );
        await this.#giveUp([container.id]);
      }
    });
    await Promise.all(starting);
  }

  /** Whether a dump that was started ahead is there. It is no former agent's. */
  has(containerId: string): boolean {
    return this.#started.has(containerId);
  }

  /**
   * The started dumps of these containers, to be begun; the caller has them from now on. None, and all are given up, if one
   * cannot be used.
   */
  async take(
    containers: readonly Pick<Container, 'id'>[],
    id: string,
  ): Promise<ReadonlyMap<string, AheadDump>> {
    const found = new Map<string, AheadDump>();
    for (const container of containers) {
      const one = this.#started.get(container.id);
      if (one?.id === id && (await one.dump.isUsable())) found.set(container.id, one.dump);
    }
    if (found.size < containers.length) {
      await this.#giveUp(containers.map((one) => one.id));
      return new Map();
    }
    for (const containerId of found.keys()) this.#started.delete(containerId);
    return found;
  }

  /** Ends the programs of a pod's dumps that were not begun, whether its containers still run or not. */
  async giveUp({ podUid }: { podUid: string }): Promise<void> {
    const own = [...this.#started].filter(([, one]) => one.podUid === podUid);
    await this.#giveUp(own.map(([id]) => id));
  }

  /** Never throws: the pod goes on, or is resumed, whatever becomes of them. */
  async #giveUp(containerIds: readonly string[]): Promise<void> {
    const ending = containerIds.map(async (id) => {
      const one = this.#started.get(id);
      if (!one) return;
      try {
        await one.dump.giveUp();
        await this.#parts.runc.endFormerDump(id);
      } catch (error) {
        this.#parts.log.warn({ detail: messageOf(error) }, 'a dump ahead did not end');
      }
      this.#started.delete(id);
    });
    await Promise.all(ending);
  }

  async #startOne(podUid: string, container: Container, id: string): Promise<void> {
    const { host, runc, store, workRoot, socketPath } = this.#parts;
    await this.#giveUp([container.id]);
    // An agent before this one may have left some that wait.
    await runc.endFormerDump(container.id);
    const imagePath = await store.createDirectory(id, container.name);
    const workPath = join(workRoot, id, container.name);
    await mkdir(host.path(workPath), { recursive: true, mode: 0o700 });
    const env = { SEALIFT_SOCKET: socketPath };
    const dump = await runc.startAhead(container, { imagePath, workPath, env });
    this.#started.set(container.id, { podUid, id, dump });
    if (!(await dump.waits(WAIT_MS))) throw new Error('CRIU does not wait.');
  }
}
