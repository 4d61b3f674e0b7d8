// SPDX-License-Identifier: Apache-2.0
// A cache of one kind of object that follows the API server until its signal aborts: it lists, watches, lists again when
// its version is too old, and starts over with backoff after any error.
import type { Api, Selection } from './api.ts';
import { jittered, realClock, type Clock } from './clock.ts';
import { codeOf, isGone, messageOf, retryAfterMs } from './errors.ts';
import type { Logger } from './logger.ts';
import { keyOf, type ApiObject, type Resource } from './resource.ts';

export interface InformerOptions<T extends ApiObject> {
  readonly api: Api;
  readonly resource: Resource<T>;
  readonly log: Logger;
  readonly clock?: Clock;
  readonly selection?: Omit<Selection, 'signal'>;
  /** For what the API server cannot select by. An object that is not kept is as one that does not exist. */
  readonly keep?: (object: T) => boolean;
}

/** Called for every change; `before` is undefined for a new object, `after` for a deleted one. */
export type Listener<T> = (key: string, after: T | undefined, before: T | undefined) => void;

const minBackoffMs = 500;
const maxBackoffMs = 15_000;
/** How long neither list nor watch may succeed before the cache is taken for out of date: several attempts, and a failover. */
const staleMs = 120_000;

export class Informer<T extends ApiObject> {
  readonly #options: InformerOptions<T>;
  readonly #clock: Clock;
  readonly #objects = new Map<string, T>();
  readonly #listeners: Listener<T>[] = [];
  readonly #synced = Promise.withResolvers<void>();
  #hasSynced = false;
  #version = '';
  /** Since when nothing has succeeded, and how the last attempt failed. */
  #failing: { readonly since: number; readonly detail: string } | undefined;

  constructor(options: InformerOptions<T>) {
    this.#options = options;
    this.#clock = options.clock ?? realClock;
  }

  /** Resolves after the first complete list. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  /** Why the cache does not say what is there, as a sentence; undefined: it does, or has failed for less than `staleMs`. */
  get problem(): string | undefined {
    const { kind } = this.#options.resource;
    const { since, detail } = this.#failing ?? {};
    const why = detail === undefined ? '' : `: ${detail}`;
    if (!this.#hasSynced) return `${kind} is not listed yet${why}.`;
    if (since === undefined || this.#clock.now() - since < staleMs) return undefined;
    const seconds = Math.round((this.#clock.now() - since) / 1000);
    return `Changes of ${kind} have not been seen for ${seconds} s${why}.`;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  list(): T[] {
    return [...this.#objects.values()];
  }

  /** The handler is also called for every object that the cache has already, so that it misses none. */
  listen(listener: Listener<T>): void {
    this.#listeners.push(listener);
    for (const [key, object] of this.#objects) listener(key, object, undefined);
  }

  /** Runs until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { log, resource } = this.#options;
    let failures = 0;
    let askedMs = 0;
    while (!signal.aborted) {
      try {
        if (this.#version === '') await this.#list(signal);
        const started = this.#clock.now();
        await this.#watch(signal);
        // A server that closes the watch at once must not cause a tight loop.
        failures = this.#clock.now() - started > minBackoffMs ? 0 : failures + 1;
        askedMs = 0;
      } catch (error) {
        if (signal.aborted) break;
        if (isGone(error)) {
          this.#version = '';
          log.debug({ kind: resource.kind }, 'watch version too old, listing again');
        } else {
          log.warn(
            { kind: resource.kind, code: codeOf(error), detail: messageOf(error) },
            'watch failed',
          );
        }
        failures++;
        askedMs = retryAfterMs(error);
        const since = this.#failing?.since ?? this.#clock.now();
        this.#failing = { since, detail: messageOf(error) };
      }
      if (failures > 0) {
        const ms = Math.min(minBackoffMs * 2 ** Math.min(failures - 1, 10), maxBackoffMs);
        await this.#clock.sleep(Math.max(jittered(ms, this.#clock), askedMs), signal);
      }
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { api, resource, selection } = this.#options;
    const gone = new Set(this.#objects.keys());
    // One at a time: a page of raw objects is much larger than what is kept of it.
    const each = (item: unknown): void => {
      const object = this.#parse(item);
      if (!object || !this.#isKept(object)) return;
      gone.delete(keyOf(object));
      this.#put(object);
    };
    const { items, resourceVersion } = await api.list(resource, { ...selection, signal, each });
    for (const item of items) each(item);
    for (const key of gone) this.#drop(key);
    this.#version = resourceVersion;
    this.#failing = undefined;
    if (!this.#hasSynced) {
      this.#hasSynced = true;
      this.#synced.resolve();
    }
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { api, resource, selection } = this.#options;
    const opened = (): void => {
      this.#failing = undefined;
    };
    const options = { ...selection, signal, opened };
    for await (const event of api.watch(resource, this.#version, options)) {
      opened();
      if (event.type === 'BOOKMARK') {
        this.#version = event.resourceVersion;
        continue;
      }
      const version = versionOf(event.object);
      const object = this.#parse(event.object);
      if (object && !this.#isKept(object)) {
        if (this.#objects.has(keyOf(object))) this.#drop(keyOf(object));
      } else if (object) {
        if (event.type === 'DELETED') this.#drop(keyOf(object), object);
        else this.#put(object);
      }
      if (version !== '') this.#version = version;
    }
  }

  #isKept(object: T): boolean {
    return this.#options.keep?.(object) ?? true;
  }

  /** One object that does not match its schema must not stop the others. */
  #parse(json: unknown): T | undefined {
    try {
      return deepFreeze(this.#options.resource.parse(json));
    } catch (error) {
      this.#options.log.error(
        { kind: this.#options.resource.kind, detail: messageOf(error) },
        'object does not fit its schema, ignoring it',
      );
      return undefined;
    }
  }

  #put(object: T): void {
    const key = keyOf(object);
    const before = this.#objects.get(key);
    if (before?.metadata.resourceVersion === object.metadata.resourceVersion) return;
    this.#objects.set(key, object);
    this.#notify(key, object, before);
  }

  #drop(key: string, last?: T): void {
    const before = this.#objects.get(key) ?? last;
    this.#objects.delete(key);
    this.#notify(key, undefined, before);
  }

  #notify(key: string, after: T | undefined, before: T | undefined): void {
    for (const listener of this.#listeners) listener(key, after, before);
  }
}

function versionOf(json: unknown): string {
  return (json as { metadata?: { resourceVersion?: string } }).metadata?.resourceVersion ?? '';
}

/** Callers share cached objects: copy one before you change it. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const child of Object.values(value)) deepFreeze(child);
  }
  return value;
}

/** Of several caches; undefined: each says what is there. */
export function problemOf(
  all: readonly { readonly problem: string | undefined }[],
): string | undefined {
  const found = new Set(all.flatMap((one) => one.problem ?? []));
  return found.size > 0 ? [...found].join(' ') : undefined;
}
