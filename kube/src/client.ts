// SPDX-License-Identifier: Apache-2.0
// The Api over HTTP.
import type {
  Api,
  ApplyOptions,
  Call,
  CreateOptions,
  DeleteOptions,
  JsonPatch,
  ListOptions,
  ListResult,
  Selection,
  WatchEvent,
  WatchSelection,
} from './api.ts';
import { ApiError, isConflict, isNotFound } from './errors.ts';
import { collectionPath, type ApiObject, type Resource } from './resource.ts';
import { Rest } from './rest.ts';

/** The server closes watches after this time, a different one for each client; a new watch is cheap. */
const watchSeconds = (): number => Math.round(290 * (0.75 + Math.random() / 2));
/** The server sends bookmarks once a minute: a longer silence means that the connection is dead. */
const watchIdleMs = 90_000;
const pageSize = 500;

interface ListBody {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly Record<string, unknown>[];
}

export class Client implements Api {
  readonly rest: Rest;

  constructor(rest: Rest) {
    this.rest = rest;
  }

  async get<T>(
    resource: Resource<T>,
    namespace: string,
    name: string,
    call: Call = {},
  ): Promise<T> {
    return resource.parse(await this.getRaw(resource, namespace, name, call));
  }

  async getRaw(
    resource: Resource<unknown>,
    namespace: string,
    name: string,
    call: Call = {},
  ): Promise<unknown> {
    return this.rest.request({
      method: 'GET',
      path: path(resource, namespace, name),
      signal: call.signal,
    });
  }

  async list(resource: Resource<unknown>, options: ListOptions = {}): Promise<ListResult> {
    const { each, ...selection } = options;
    const items: unknown[] = [];
    let next: string | undefined;
    let resourceVersion = '';
    do {
      const body = (await this.rest.request({
        method: 'GET',
        path: collectionPath(resource, selection.namespace),
        query: { ...selectors(selection), limit: pageSize, continue: next },
        signal: selection.signal,
        timeoutMs: 30_000,
      })) as ListBody;
      // Items of a list have no kind.
      for (const item of body.items ?? []) {
        const whole = { apiVersion: resource.apiVersion, kind: resource.kind, ...item };
        if (each) each(whole);
        else items.push(whole);
      }
      next = body.metadata?.continue || undefined;
      resourceVersion = body.metadata?.resourceVersion ?? '';
    } while (next !== undefined);
    return { items, resourceVersion };
  }

  async *watch(
    resource: Resource<unknown>,
    resourceVersion: string,
    selection: WatchSelection,
  ): AsyncGenerator<WatchEvent> {
    const query = {
      ...selectors(selection),
      watch: true,
      allowWatchBookmarks: true,
      timeoutSeconds: watchSeconds(),
      resourceVersion,
    };
    const url = collectionPath(resource, selection.namespace);
    const { signal, opened } = selection;
    for await (const line of this.rest.watch(url, query, signal, watchIdleMs, opened)) {
      if (line.type === 'ERROR') {
        const status = line.object as { code?: number };
        throw ApiError.from(status.code ?? 500, JSON.stringify(line.object));
      } else if (line.type === 'BOOKMARK') {
        const { metadata } = line.object as ApiObject;
        yield { type: 'BOOKMARK', resourceVersion: metadata.resourceVersion };
      } else {
        yield { type: line.type, object: line.object };
      }
    }
  }

  async create(
    resource: Resource<unknown>,
    namespace: string,
    body: object,
    options: CreateOptions = {},
  ): Promise<unknown> {
    return this.rest.request({
      method: 'POST',
      path: collectionPath(resource, namespace),
      query: { dryRun: options.dryRun === true ? 'All' : undefined },
      body: { apiVersion: resource.apiVersion, kind: resource.kind, ...body },
      signal: options.signal,
    });
  }

  async merge<T>(
    resource: Resource<T>,
    namespace: string,
    name: string,
    patch: object,
    options: Partial<ApplyOptions> = {},
  ): Promise<T> {
    const type = 'application/merge-patch+json';
    return this.#patch(resource, namespace, name, type, patch, options);
  }

  async jsonPatch<T>(
    resource: Resource<T>,
    namespace: string,
    name: string,
    patch: readonly JsonPatch[],
    options: Partial<ApplyOptions> = {},
  ): Promise<T> {
    const type = 'application/json-patch+json';
    return this.#patch(resource, namespace, name, type, patch, options);
  }

  async apply<T>(
    resource: Resource<T>,
    object: ApiObject,
    fields: object,
    options: ApplyOptions,
  ): Promise<T> {
    const { name, namespace, resourceVersion } = object.metadata;
    const body = {
      apiVersion: resource.apiVersion,
      kind: resource.kind,
      metadata: { name, namespace, ...(options.exact === true ? { resourceVersion } : {}) },
      ...fields,
    };
    const type = 'application/apply-patch+yaml';
    return this.#patch(resource, namespace, name, type, body, options, true);
  }

  async delete(
    resource: Resource<unknown>,
    namespace: string,
    name: string,
    options: DeleteOptions = {},
  ): Promise<void> {
    try {
      await this.rest.request({
        method: 'DELETE',
        path: path(resource, namespace, name),
        body: {
          apiVersion: 'v1',
          kind: 'DeleteOptions',
          gracePeriodSeconds: options.gracePeriodSeconds,
          preconditions: options.uid ? { uid: options.uid } : undefined,
        },
        signal: options.signal,
      });
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }

  async #patch<T>(
    resource: Resource<T>,
    namespace: string,
    name: string,
    contentType: string,
    body: unknown,
    options: Partial<ApplyOptions>,
    force?: true,
  ): Promise<T> {
    const answer = await this.rest.request({
      method: 'PATCH',
      path: path(resource, namespace, name, options.subresource),
      query: { fieldManager: options.manager, force },
      contentType,
      body,
      signal: options.signal,
    });
    return resource.parse(answer);
  }
}

function path(
  resource: Resource<unknown>,
  namespace: string,
  name: string,
  subresource?: string,
): string {
  const tail = subresource ? `/${subresource}` : '';
  return `${collectionPath(resource, namespace)}/${encodeURIComponent(name)}${tail}`;
}

function selectors(selection: Selection): Record<string, string | undefined> {
  return { fieldSelector: selection.fieldSelector, labelSelector: selection.labelSelector };
}
