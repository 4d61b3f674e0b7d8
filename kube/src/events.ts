// SPDX-License-Identifier: Apache-2.0
// Events for people (`kubectl describe`). A repetition raises a count instead of adding an object. A lost event is no
// error, because nothing depends on it.
import { randomBytes } from 'node:crypto';
import type { Api } from './api.ts';
import { realClock, timestamp, type Clock } from './clock.ts';
import { messageOf } from './errors.ts';
import type { Logger } from './logger.ts';
import type { ApiObject, Resource } from './resource.ts';

const events: Resource<unknown> = {
  apiVersion: 'v1',
  kind: 'Event',
  plural: 'events',
  namespaced: true,
  parse: (json) => json,
};

const aggregateMs = 10 * 60_000;
const maxKnown = 1000;
const maxMessage = 1024;
/** An object's name has 253 characters at most; an event's ends with a dot and 16 hexadecimal digits. */
const maxBase = 253 - 17;

interface Known {
  readonly name: string;
  readonly firstAt: number;
  count: number;
}

export interface EventInput {
  readonly resource: Resource<unknown>;
  readonly object: ApiObject;
  readonly type: 'Normal' | 'Warning';
  /** CamelCase. */
  readonly reason: string;
  readonly message: string;
}

export class EventRecorder {
  readonly #api: Api;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #component: string;
  readonly #host: string | undefined;
  readonly #known = new Map<string, Known>();
  #tail: Promise<void> = Promise.resolve();

  constructor(options: { api: Api; log: Logger; component: string; host?: string; clock?: Clock }) {
    this.#api = options.api;
    this.#log = options.log;
    this.#component = options.component;
    this.#host = options.host;
    this.#clock = options.clock ?? realClock;
  }

  /** Returns at once and writes the event in the background, in order. */
  record(input: EventInput): void {
    this.#tail = this.#tail
      .then(() => this.#write(input))
      .catch((error: unknown) => {
        this.#log.debug({ reason: input.reason, detail: messageOf(error) }, 'event not written');
      });
  }

  /** Resolves when every event recorded so far is written or lost. */
  flush(): Promise<void> {
    return this.#tail;
  }

  async #write(input: EventInput): Promise<void> {
    const { name, namespace, uid, resourceVersion } = input.object.metadata;
    const now = this.#clock.now();
    const key = [uid, input.type, input.reason, input.message].join('\n');
    const known = this.#known.get(key);
    const time = timestamp(now).replace(/\.\d+/, '');
    const where = namespace || 'default';
    if (known && now - known.firstAt < aggregateMs) {
      known.count++;
      await this.#api.merge(events, where, known.name, { count: known.count, lastTimestamp: time });
      return;
    }
    const entry = { name: eventName(name), firstAt: now, count: 1 };
    await this.#api.create(events, where, {
      metadata: { name: entry.name, namespace: where },
      involvedObject: {
        apiVersion: input.resource.apiVersion,
        kind: input.resource.kind,
        name,
        namespace,
        uid,
        resourceVersion,
      },
      type: input.type,
      reason: input.reason,
      message: input.message.slice(0, maxMessage),
      count: 1,
      firstTimestamp: time,
      lastTimestamp: time,
      source: { component: this.#component, ...(this.#host ? { host: this.#host } : {}) },
      reportingComponent: this.#component,
      reportingInstance: this.#host ?? this.#component,
    });
    if (this.#known.size >= maxKnown) this.#known.clear();
    this.#known.set(key, entry);
  }
}

/** A cut name may end in a dot or a dash, which no part of a name may do. */
function eventName(object: string): string {
  const base = object.slice(0, maxBase).replace(/[^a-z0-9]+$/, '');
  return `${base}.${randomBytes(8).toString('hex')}`;
}
