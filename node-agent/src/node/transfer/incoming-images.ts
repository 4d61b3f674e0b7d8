// SPDX-License-Identifier: Apache-2.0
// Tells the target's reconcilers of images that arrive. The receiver calls in; agent.ts registers one listener per kind of
// request.
import type { Logger } from '../../../../kube/src/index.ts';
import { microTimestamp } from '../../support/step-times.ts';
import type { AwaitedImages, ReceiverOptions } from './receiver.ts';

/** Awaits images and reacts to them. */
export interface ImageListener {
  /** The images that are awaited now in directory `id`; undefined if none are. */
  awaits(id: string): AwaitedImages | undefined;
  /**
   * Images have begun to arrive, or have ended.
   * @param begun when they began to arrive, RFC 3339 with microseconds, if they have arrived whole
   */
  changed(id: string, begun: string | undefined): Promise<void>;
}

export class IncomingImages {
  readonly #log: Logger;
  /** Ids of the images that are arriving, with when they began. */
  readonly #arriving = new Map<string, string>();
  readonly #listeners: ImageListener[] = [];

  constructor(log: Logger) {
    this.#log = log;
  }

  listen(listener: ImageListener): void {
    this.#listeners.push(listener);
  }

  /** Whether images for directory `id` are arriving. */
  isReceiving(id: string): boolean {
    return this.#arriving.has(id);
  }

  /** For the receiver. */
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
      this.#arriving.set(id, microTimestamp());
      this.#notify(id, undefined);
    },
    received: (id) => {
      const begun = this.#arriving.get(id);
      this.#arriving.delete(id);
      this.#notify(id, begun);
    },
    failed: (id, error) => {
      this.#arriving.delete(id);
      this.#log.warn({ err: error, images: id }, 'images refused');
      this.#notify(id, undefined);
    },
  };

  #notify(id: string, begun: string | undefined): void {
    for (const listener of this.#listeners) {
      listener.changed(id, begun).catch((error: unknown) => {
        this.#log.error({ err: error, images: id }, 'cannot record the arrival of images');
      });
    }
  }
}
