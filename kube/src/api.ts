// SPDX-License-Identifier: Apache-2.0
// What reconcilers may ask of an API server. Client implements it over HTTP; the simulation has its own.
import type { ApiObject, Resource } from './resource.ts';

export interface Call {
  readonly signal?: AbortSignal | undefined;
}

export interface Selection extends Call {
  /** Absent: all namespaces. */
  readonly namespace?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly labelSelector?: string | undefined;
}

export interface ListOptions extends Selection {
  /**
   * Gets every item as it arrives. Then a server that answers in pages keeps none in memory, and the result may be without
   * items; the caller has to look at both.
   */
  readonly each?: ((item: unknown) => void) | undefined;
}

export interface WatchSelection extends Selection {
  readonly signal: AbortSignal;
  /** Called once the server has accepted the watch; the first event may come much later. */
  readonly opened?: (() => void) | undefined;
}

export interface ListResult {
  /** Unparsed, so that one bad object does not affect the others. */
  readonly items: readonly unknown[];
  readonly resourceVersion: string;
}

export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: unknown }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

export interface CreateOptions extends Call {
  /** The API server answers as it would, and stores nothing. */
  readonly dryRun?: boolean | undefined;
}

export interface DeleteOptions extends Call {
  readonly uid?: string | undefined;
  readonly gracePeriodSeconds?: number | undefined;
}

export interface ApplyOptions extends Call {
  readonly manager: string;
  readonly subresource?: 'status' | 'approval' | undefined;
  /** Refuse with `Conflict` if the object is no longer the version that was read. */
  readonly exact?: boolean | undefined;
}

/** An operation of RFC 6902. */
export interface JsonPatch {
  readonly op: 'add' | 'remove' | 'replace' | 'test';
  readonly path: string;
  readonly value?: unknown;
}

export interface Api {
  /** @throws ApiError `NotFound`. */
  get<T>(resource: Resource<T>, namespace: string, name: string, call?: Call): Promise<T>;
  /** The object with every field, for copying. @throws ApiError `NotFound`. */
  getRaw(
    resource: Resource<unknown>,
    namespace: string,
    name: string,
    call?: Call,
  ): Promise<unknown>;
  list(resource: Resource<unknown>, options?: ListOptions): Promise<ListResult>;
  /** Ends without an error when the server closes the watch. @throws ApiError `Gone`/`Expired` when the version is too old. */
  watch(
    resource: Resource<unknown>,
    resourceVersion: string,
    selection: WatchSelection,
  ): AsyncIterable<WatchEvent>;
  /** @throws ApiError `AlreadyExists`. */
  create(
    resource: Resource<unknown>,
    namespace: string,
    body: object,
    options?: CreateOptions,
  ): Promise<unknown>;
  /** JSON merge patch. */
  merge<T>(
    resource: Resource<T>,
    namespace: string,
    name: string,
    patch: object,
    options?: Partial<ApplyOptions>,
  ): Promise<T>;
  /** RFC 6902; the server evaluates `test` and the rest in one step. @throws ApiError `Invalid` when a test fails. */
  jsonPatch<T>(
    resource: Resource<T>,
    namespace: string,
    name: string,
    patch: readonly JsonPatch[],
    options?: Partial<ApplyOptions>,
  ): Promise<T>;
  /** Server-side apply, forced: the manager owns exactly what it sends. */
  apply<T>(
    resource: Resource<T>,
    object: ApiObject,
    fields: object,
    options: ApplyOptions,
  ): Promise<T>;
  /** Also succeeds when the object is gone or has another UID than `uid`. */
  delete(
    resource: Resource<unknown>,
    namespace: string,
    name: string,
    options?: DeleteOptions,
  ): Promise<void>;
}
