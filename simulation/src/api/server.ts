// SPDX-License-Identifier: Apache-2.0
// The API server as its clients see it: requests take time, are lost on either way, or find the server down; watches lag,
// break and repeat.
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
import { Connection } from './connection.ts';
import type { Json, StoredObject } from './objects.ts';
import type { Store, ObjectKey, Writer } from './store.ts';
import { Watcher } from './watcher.ts';

/** As in kube/src/rest.ts. */
const requestTimeoutMs = 10_000;

export class ApiServer {
  readonly store: Store;
  readonly timeline: Timeline;
  readonly #connections = new Map<string, Connection>();
  #watchers: { client: string; watcher: Watcher }[] = [];
  #downUntil = 0;

  constructor(timeline: Timeline, store: Store) {
    this.timeline = timeline;
    this.store = store;
    store.onChange((change) => {
      this.#watchers = this.#watchers.filter(({ watcher }) => !watcher.isOver);
      for (const { watcher } of this.#watchers) watcher.notify(change);
    });
  }

  get isDown(): boolean {
    return this.timeline.now < this.#downUntil;
  }

  /** @param client a process, by its name. */
  connection(client: string): Connection {
    let connection = this.#connections.get(client);
    if (!connection) this.#connections.set(client, (connection = new Connection(this.timeline)));
    return connection;
  }

  /** The server is down for that long. Its objects stay. */
  stop(ms: number): void {
    this.#downUntil = this.timeline.now + ms;
    this.breakWatches();
  }

  /** @param client whose watches break. Absent: all */
  breakWatches(client?: string): void {
    for (const one of this.#watchers)
      if (client === undefined || one.client === client) one.watcher.break();
  }

  repeatEvents(client: string): void {
    for (const one of this.#watchers) if (one.client === client) one.watcher.repeat();
  }

  heal(): void {
    this.#downUntil = 0;
    for (const link of this.#connections.values()) link.heal();
  }

  /** @param by the name under which the chart's policy knows the process. */
  client(process: Process, by: string): Api {
    return new SimulatedApi(this, process, this.connection(process.name), by);
  }

  addWatcher(client: string, watcher: Watcher): void {
    this.#watchers.push({ client, watcher });
  }
}

class SimulatedApi implements Api {
  readonly #server: ApiServer;
  readonly #process: Process;
  readonly #connection: Connection;
  readonly #writerName: string;

  constructor(server: ApiServer, process: Process, link: Connection, by: string) {
    this.#server = server;
    this.#process = process;
    this.#connection = link;
    this.#writerName = by;
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
    return this.#send(call, () => this.#store.get(keyFor(resource, namespace, name)));
  }

  list(resource: Resource<unknown>, selection: Selection = {}): Promise<ListResult> {
    return this.#send(selection, () => ({
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
    const watcher = await this.#send(selection, () => {
      const kind = resource.kind;
      const made = new Watcher(this.#server.timeline, this.#process, this.#connection, {
        ...{ kind, namespace, selector },
      });
      for (const change of this.#store.since(Number(resourceVersion))) made.notify(change);
      this.#server.addWatcher(this.#process.name, made);
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
    // Nothing in the simulation reads Events.
    if (kind === 'Event') return Promise.resolve(body);
    const { metadata } = body as { metadata: object };
    const object = {
      apiVersion,
      kind,
      ...body,
      metadata: { ...metadata, namespace },
    } as StoredObject;
    return this.#send(call, () => this.#store.create(object, this.#writer({})));
  }

  async merge<T>(
    resource: Resource<T>,
    namespace: string,
    name: string,
    patch: object,
    options: Partial<ApplyOptions> = {},
  ): Promise<T> {
    if (resource.kind === 'Event') return resource.parse(patch);
    const key = keyFor(resource, namespace, name);
    const write = (): StoredObject => this.#store.merge(key, patch, this.#writer(options));
    return resource.parse(await this.#send(options, write));
  }

  async jsonPatch<T>(
    resource: Resource<T>,
    namespace: string,
    name: string,
    patch: readonly JsonPatch[],
    options: Partial<ApplyOptions> = {},
  ): Promise<T> {
    const key = keyFor(resource, namespace, name);
    const write = (): StoredObject => this.#store.patch(key, patch, this.#writer(options));
    return resource.parse(await this.#send(options, write));
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
    const key = keyFor(resource, namespace, name);
    const write = (): StoredObject =>
      this.#store.applyStatus(key, version, status, this.#writer(options));
    return resource.parse(await this.#send(options, write));
  }

  async delete(
    resource: Resource<unknown>,
    namespace: string,
    name: string,
    options: DeleteOptions = {},
  ): Promise<void> {
    const { uid, gracePeriodSeconds } = options;
    const key = keyFor(resource, namespace, name);
    try {
      await this.#send(options, () => this.#store.delete(key, uid, gracePeriodSeconds));
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }

  get #store(): Store {
    return this.#server.store;
  }

  #writer(options: Partial<ApplyOptions>): Writer {
    return {
      by: this.#writerName,
      manager: options.manager,
      subresource: options.subresource === 'status' ? 'status' : undefined,
    };
  }

  /** The server carries out a request that was sent even if the sender dies or stops to wait. */
  #send<T>(call: Call | undefined, work: () => T): Promise<T> {
    const { timeline } = this.#server;
    const process = this.#process;
    if (!process.alive) return never();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const signal = call?.signal;
    const sentAt = timeline.now;
    const fail = (code: 'Unreachable' | 'RequestTimeout' | 'Cancelled'): void => {
      reject(new ConnectionError(code, `${code} (simulated)`));
    };
    // Timer and listener for lost requests only: for every request they would be most of its cost.
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
      if (this.#connection.isCut) return lose();
      const arrived = (): void => {
        if (this.#connection.isCut) return lose();
        if (signal?.aborted) fail('Cancelled');
        else answer();
      };
      timeline.after(this.#connection.delay(), arrived, process);
    };
    const arrive = (): void => {
      if (this.#connection.isCut) return lose();
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
    else if (this.#connection.isCut) lose();
    else timeline.afterWithoutStep(this.#connection.delay(), arrive);
    return promise;
  }
}

const keyFor = (resource: Resource<unknown>, namespace: string, name: string): ObjectKey => ({
  ...{ kind: resource.kind, namespace, name },
});
