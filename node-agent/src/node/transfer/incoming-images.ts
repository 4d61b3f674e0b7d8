// SPDX-License-Identifier: Apache-2.0
// Images that come in: who awaits them, and who is told that they have begun, arrived or failed.
import type { Logger } from '../../../../kube/src/index.ts';
import { microTimestamp } from '../../support/step-times.ts';
import type { ReceiverOptions } from './receiver.ts';

export interface ImageListener {
  /** The images' own id, if images are wanted now in the folder `id`. */
  awaits(id: string): string | undefined;
  /** @param begun when they began to come, if they have arrived whole. */
  changed(id: string, begun: string | undefined): Promise<void>;
}

export class IncomingImages {
  readonly #log: Logger;
  /** By id, with when they began. */
  readonly #under = new Map<string, string>();
  readonly #listeners: ImageListener[] = [];

  constructor(log: Logger) {
    this.#log = log;
  }

  listen(listener: ImageListener): void {
    this.#listeners.push(listener);
  }

  /** Whether images for this folder are on their way. */
  isReceiving(id: string): boolean {
    return this.#under.has(id);
  }

  /** What the receiver asks and tells. */
  readonly callbacks: Required<
    Pick<ReceiverOptions, 'expected' | 'started' | 'received' | 'failed'>
  > = {
    expected: (id) => {
      for (const listener of this.#listeners) {
        const awaited = listener.awaits(id);
        if (awaited !== undefined) return awaited;
      }
      return undefined;
    },
    started: (id) => {
      this.#under.set(id, microTimestamp());
      this.#tell(id, undefined);
    },
    received: (id) => {
      const begun = this.#under.get(id);
      this.#under.delete(id);
      this.#tell(id, begun);
    },
    failed: (id, error) => {
      this.#under.delete(id);
      this.#log.warn({ err: error, images: id }, 'images refused');
      this.#tell(id, undefined);
    },
  };

  #tell(id: string, begun: string | undefined): void {
    for (const listener of this.#listeners) {
      listener.changed(id, begun).catch((error: unknown) => {
        this.#log.error({ err: error, images: id }, 'cannot write down what arrived');
      });
    }
  }
}
