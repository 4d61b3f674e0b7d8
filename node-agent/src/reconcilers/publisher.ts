// SPDX-License-Identifier: Apache-2.0
// Writes this agent's part of a request's status. Nothing waits for a progress report, so a slow API server does not
// lengthen the blackout. The writes of one request stay in order.
import {
  KeyedMutex,
  withFaults,
  writeStatus,
  type Api,
  type ApiObject,
  type Context,
  type Resource,
} from '../../../kube/src/index.ts';
import { reasonOf } from '../support/errors.ts';

export interface PublisherOptions<T extends ApiObject> {
  api: Api;
  resource: Resource<T>;
  manager: string;
  /** The one field of the status that this agent owns. */
  field: 'sourceAgent' | 'targetAgent' | 'agent';
}

export class Publisher<T extends ApiObject> {
  readonly #options: PublisherOptions<T>;
  readonly #mutex = new KeyedMutex();

  constructor(options: PublisherOptions<T>) {
    this.#options = options;
  }

  /** Resolves once the API server has stored it. @throws ApiError, ConnectionError */
  async write(object: T, part: object, signal?: AbortSignal): Promise<void> {
    const { api, resource, manager, field } = this.#options;
    await this.#mutex.run(object.metadata.uid, () =>
      withFaults('agent.status', () =>
        writeStatus(api, {
          resource,
          object,
          manager,
          owned: [field],
          status: { [field]: truncated(part) },
          onConflict: 'retry',
          signal,
        }),
      ),
    );
  }

  /** Reports without waiting. The end of the run reports again what gets lost. */
  progress(object: T, part: object, context: Context): void {
    this.write(object, part).catch((error: unknown) => {
      context.log.debug({ detail: reasonOf(error).message }, 'progress not written');
    });
  }
}

/** The longest texts that the CRDs accept (crds/src/atoms.ts). The API server refuses a status with a longer one. */
const MAX_LENGTH = { reason: 128, message: 4096 } as const;

function truncated(part: object): object {
  const texts = Object.entries(MAX_LENGTH).map(([key, length]) => {
    const text = (part as Record<string, unknown>)[key];
    return [key, typeof text === 'string' ? text.slice(0, length) : text] as const;
  });
  return { ...part, ...Object.fromEntries(texts.filter(([, text]) => text !== undefined)) };
}
