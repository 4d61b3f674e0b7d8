// SPDX-License-Identifier: Apache-2.0
// The API server as its clients meet it: requests that take time, get lost on the way there or on the way back, or find
// nobody; watches that lag, break and come again.
import {
  ApiError,
  ConnectionError,
  isConflict,
  isNotFound,
  type Api,
  type ApiObject,
  type ApplyOptions,
  type Call,
  type DeleteOptions,
  type JsonPatch,
  type ListResult,
  type Resource,
  type Selection,
  type WatchEvent,
} from '../../../kube/src/index.ts';
import { never, type Process } from '../process.ts';
import type { Timeline } from '../timeline.ts';
import { Link } from './link.ts';
import type { Json, Stored } from './objects.ts';
import type { Store, Target, Writer } from './store.ts';
import { Watcher } from './watcher.ts';

/** kube/src/rest.ts */
const requestTimeoutMs = 10_000;

export class ApiServer {
  readonly store: Store;
  readonly timeline: Timeline;
  readonly #links = new Map<string, Link>();
  #watchers: { of: string; watcher: Watcher }[] = [];
  #downUntil = 0;

  constructor(timeline: Timeline, store: Store) {
    this.timeline = timeline;
    this.store = store;
    store.onChange((change) => {
      this.#watchers = this.#watchers.filter(({ watcher }) => !watcher.isOver);
      for (const { watcher } of this.#watchers) watcher.tell(change);
    });
  }

  get isDown(): boolean {
    return this.timeline.now < this.#downUntil;
  }

  link(of: string): Link {
    let link = this.#links.get(of);
    if (!link) this.#links.set(of, (link = new Link(this.timeline)));
    return link;
  }

  /** Stops for that long; its objects stay. */
  stop(ms: number): void {
    this.#downUntil = this.timeline.now + ms;
    this.breakWatches();
  }

  /** @param of a client; absent: everybody's. */
  breakWatches(of?: string): void {
    for (const one of this.#watchers) if (of === undefined || one.of === of) one.watcher.break();
  }

  repeatEvents(of: string): void {
    for (const one of this.#watchers) if (one.of === of) one.watcher.repeat();
  }

  heal(): void {
    this.#downUntil = 0;
    for (const link of this.#links.values()) link.heal();
  }

  /** @param by the name that the policy knows it by. */
  client(process: Process, by: string): Api {
    return new SimulatedApi(this, process, this.link(process.name), by);
  }

  watch(of: string, watcher: Watcher): void {
    this.#watchers.push({ of, watcher });
  }
}

class SimulatedApi implements Api {
  readonly #server: ApiServer;
  readonly #process: Process;
  readonly #link: Link;
  readonly #by: string;

  constructor(server: ApiServer, process: Process, link: Link, by: string) {
    this.#server = server;
    this.#process = process;
    this.#link = link;
    this.#by = by;
  }

  async get<T>(resource: Resource<T>, namespace: string, name: string, call?: Call): Promise<T> {
    return resource.parse(await this.getRaw(resource, namespace, name, call));
  }

  getRaw(
    resource: Resource<unknown>,
    namespace: string,
    name: string,
    call?: Call,
  ): Promise<unknown> {
    return this.#ask(call, () => this.#store.get(target(resource, namespace, name)));
  }

  list(resource: Resource<unknown>, selection: Selection = {}): Promise<ListResult> {
    return this.#ask(selection, () => ({
      items: this.#store.list(resource.kind, selection.namespace, selection.fieldSelector),
      resourceVersion: String(this.#store.version),
    }));
  }

  async *watch(
    resource: Resource<unknown>,
    resourceVersion: string,
    selection: Selection & { readonly signal: AbortSignal },
  ): AsyncGenerator<WatchEvent> {
    const { namespace, fieldSelector: selector, signal } = selection;
    const watcher = await this.#ask(selection, () => {
      const kind = resource.kind;
      const made = new Watcher(this.#server.timeline, this.#process, this.#link, {
        ...{ kind, namespace, selector },
      });
      for (const change of this.#store.since(Number(resourceVersion))) made.tell(change);
      this.#server.watch(this.#process.name, made);
      return made;
    });
    const close = (): void => watcher.close();
    signal.addEventListener('abort', close, { once: true });
    if (signal.aborted) close();
    yield* watcher.events();
  }

  create(
    resource: Resource<unknown>,
    namespace: string,
    body: object,
    call?: Call,
  ): Promise<unknown> {
    const { apiVersion, kind } = resource;
    // Events are for people: nothing reads them.
    if (kind === 'Event') return Promise.resolve(body);
    const { metadata } = body as { metadata: object };
    const object = { apiVersion, kind, ...body, metadata: { ...metadata, namespace } } as Stored;
    return this.#ask(call, () => this.#store.create(object, this.#writer({})));
  }

  async merge<T>(
    resource: Resource<T>,
    namespace: string,
    name: string,
    patch: object,
    options: Partial<ApplyOptions> = {},
  ): Promise<T> {
    if (resource.kind === 'Event') return resource.parse(patch);
    const of = target(resource, namespace, name);
    const write = (): Stored => this.#store.merge(of, patch, this.#writer(options));
    return resource.parse(await this.#ask(options, write));
  }

  async jsonPatch<T>(
    resource: Resource<T>,
    namespace: string,
    name: string,
    patch: readonly JsonPatch[],
    options: Partial<ApplyOptions> = {},
  ): Promise<T> {
    const of = target(resource, namespace, name);
    const write = (): Stored => this.#store.patch(of, patch, this.#writer(options));
    return resource.parse(await this.#ask(options, write));
  }

  async apply<T>(
    resource: Resource<T>,
    object: ApiObject,
    fields: object,
    options: ApplyOptions,
  ): Promise<T> {
    const { namespace, name, resourceVersion } = object.metadata;
    const { status } = fields as { status: Json };
    const version = options.exact === true ? resourceVersion : undefined;
    const of = target(resource, namespace, name);
    const write = (): Stored => this.#store.applyStatus(of, version, status, this.#writer(options));
    return resource.parse(await this.#ask(options, write));
  }

  async delete(
    resource: Resource<unknown>,
    namespace: string,
    name: string,
    options: DeleteOptions = {},
  ): Promise<void> {
    const { uid, gracePeriodSeconds } = options;
    const of = target(resource, namespace, name);
    try {
      await this.#ask(options, () => this.#store.delete(of, uid, gracePeriodSeconds));
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }

  get #store(): Store {
    return this.#server.store;
  }

  #writer(options: Partial<ApplyOptions>): Writer {
    return { by: this.#by, manager: options.manager, subresource: options.subresource };
  }

  /** A request that has been sent is carried out even if its sender dies or no longer waits. */
  #ask<T>(call: Call | undefined, work: () => T): Promise<T> {
    const { timeline } = this.#server;
    const process = this.#process;
    if (!process.alive) return never();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const signal = call?.signal;
    const sentAt = timeline.now;
    const fail = (code: 'Unreachable' | 'RequestTimeout' | 'Cancelled'): void => {
      reject(new ConnectionError(code, `${code} (simulated)`));
    };
    // Only what is lost waits for long: timer and listener for every request would be most of its cost.
    const lose = (): void => {
      const timer = timeline.after(
        sentAt + requestTimeoutMs - timeline.now,
        () => {
          signal?.removeEventListener('abort', onAbort);
          fail('RequestTimeout');
        },
        process,
      );
      const onAbort = (): void => {
        timer.cancel();
        fail('Cancelled');
      };
      if (signal?.aborted) timeline.after(0, onAbort, process);
      else signal?.addEventListener('abort', onAbort, { once: true });
    };
    const reply = (answer: () => void): void => {
      if (this.#link.isCut) return lose();
      const arrived = (): void => {
        if (this.#link.isCut) return lose();
        if (signal?.aborted) fail('Cancelled');
        else answer();
      };
      timeline.after(this.#link.delay(), arrived, process);
    };
    const arrive = (): void => {
      if (this.#link.isCut) return lose();
      if (this.#server.isDown) return reply(() => fail('Unreachable'));
      try {
        const result = work();
        reply(() => resolve(result));
      } catch (error) {
        if (!(error instanceof ApiError)) timeline.crashes.push(error);
        reply(() => reject(error));
      }
    };
    if (signal?.aborted) fail('Cancelled');
    else if (this.#link.isCut) lose();
    else timeline.plainly(this.#link.delay(), arrive);
    return promise;
  }
}

const target = (resource: Resource<unknown>, namespace: string, name: string): Target => ({
  ...{ kind: resource.kind, namespace, name },
});
