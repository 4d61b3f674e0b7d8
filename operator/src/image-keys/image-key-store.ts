// SPDX-License-Identifier: Apache-2.0
// The keys that wrap the data keys of stored images, in a Secret that the chart makes empty. The operator puts the first one
// there, and another one each year. It never takes one away: images need the key that they were encrypted with.
import { randomBytes } from 'node:crypto';
import { imageKeyId, imageKeys, imageKeyTime } from '../../../crds/src/index.ts';
import {
  isNotFound,
  keepRefreshed,
  secrets,
  type Api,
  type Call,
  type Clock,
  type Logger,
} from '../../../kube/src/index.ts';

export interface ImageKeyStoreParts {
  readonly api: Api;
  readonly log: Logger;
  readonly clock: Clock;
  /** The chart's. */
  readonly namespace: string;
  /** Name of the Secret. */
  readonly secret: string;
}

/**
 * The name of the key that is to be added now; undefined if none is due. Pure.
 * @param data of the Secret, values in base64
 */
export function dueKey(data: Readonly<Record<string, string>>, now: number): string | undefined {
  const times = Object.entries(data)
    .filter(([, value]) => Buffer.from(value, 'base64').length === imageKeys.bytes)
    .flatMap(([id]) => imageKeyTime(id) ?? []);
  const isDue = times.every((time) => now - time >= imageKeys.lifetimeMs);
  const id = imageKeyId(now);
  // A key that images may be encrypted with is not overwritten, whatever is in its place.
  return isDue && !(id in data) ? id : undefined;
}

export class ImageKeyStore {
  readonly #parts: ImageKeyStoreParts;

  constructor(parts: ImageKeyStoreParts) {
    this.#parts = parts;
  }

  /** Runs until the signal aborts. */
  run(signal: AbortSignal): Promise<void> {
    const { log, clock } = this.#parts;
    const refresh = (): Promise<void> => this.refresh({ signal });
    const failed = 'the keys of stored images are not ready';
    return keepRefreshed({ refresh, failed, log, clock }, signal);
  }

  /**
   * Adds a key if one is due.
   * @throws Error if the chart's Secret is missing; ApiError, `Conflict` among them, if somebody else was faster
   */
  async refresh(call: Call = {}): Promise<void> {
    const { api, clock, namespace, secret, log } = this.#parts;
    const { metadata, data } = await api
      .get(secrets, namespace, secret, call)
      .catch((cause: unknown) => {
        if (!isNotFound(cause)) throw cause;
        throw new Error(
          `Secret ${namespace}/${secret} is missing: checkpoints wait for a key. Install the chart again, or put the Secret back ` +
            'from a copy if there are checkpoints.',
          { cause },
        );
      });
    const id = dueKey(data, clock.now());
    if (id === undefined) return;
    const { resourceVersion } = metadata;
    const key = randomBytes(imageKeys.bytes).toString('base64');
    await api.merge(
      secrets,
      namespace,
      secret,
      { metadata: { resourceVersion }, data: { [id]: key } },
      call,
    );
    log.info({ key: id }, 'a key for stored images was made');
  }
}
