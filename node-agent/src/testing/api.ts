// SPDX-License-Identifier: Apache-2.0
// For tests: an API server's store as the agent needs it, in memory. A decision is written once, as CEL has it.
import { isDeepStrictEqual } from 'node:util';
import {
  ApiError,
  ConnectionError,
  type Api,
  type ApiObject,
  type JsonPatch,
  type ListResult,
  type Resource,
  type Selection,
} from '../../../kube/src/index.ts';

interface Stored {
  metadata: { name: string; namespace: string; uid: string; resourceVersion: string };
  status?: Record<string, unknown>;
}

export class MemoryApi implements Api {
  readonly #objects = new Map<string, Stored>();
  #version = 0;
  /** While false, the server does not answer. */
  reachable = true;
  /** Every write, in order. */
  readonly writes: { kind: string; fields: unknown }[] = [];

  /** Puts an object in place, as kubectl or the operator would. */
  put(resource: Resource<unknown>, object: object): void {
    const stored = structuredClone(object) as Stored;
    stored.metadata.resourceVersion = String(++this.#version);
    const { namespace = '', name } = stored.metadata;
    this.#objects.set(this.#key(resource, `${namespace}/${name}`), stored);
  }

  remove(resource: Resource<unknown>, namespace: string, name: string): void {
    this.#objects.delete(this.#key(resource, `${namespace}/${name}`));
  }

  /** The object as stored; undefined if there is none. */
  peek<T>(resource: Resource<T>, namespace: string, name: string): T | undefined {
    const found = this.#objects.get(this.#key(resource, `${namespace}/${name}`));
    return found && resource.parse(structuredClone(found));
  }

  async get<T>(resource: Resource<T>, namespace: string, name: string): Promise<T> {
    return resource.parse(await this.getRaw(resource, namespace, name));
  }

  async getRaw(resource: Resource<unknown>, namespace: string, name: string): Promise<unknown> {
    return structuredClone(this.#find(resource, namespace, name));
  }

  async list(resource: Resource<unknown>, selection: Selection = {}): Promise<ListResult> {
    this.#reach();
    const prefix = this.#key(resource, '');
    const items = [...this.#objects]
      .filter(([key]) => key.startsWith(prefix))
      .map(([, object]) => structuredClone(object))
      .filter((one) => !selection.namespace || one.metadata.namespace === selection.namespace);
    return { items, resourceVersion: String(this.#version) };
  }

  async *watch(): AsyncIterable<never> {
    throw new Error('not needed by the agent’s tests');
  }

  async create(): Promise<never> {
    throw new Error('agents create nothing');
  }

  async merge(): Promise<never> {
    throw new Error('not needed by the agent’s tests');
  }

  async jsonPatch<T>(
    resource: Resource<T>,
    namespace: string,
    name: string,
    patch: readonly JsonPatch[],
  ): Promise<T> {
    const found = this.#find(resource, namespace, name);
    for (const { op, path, value } of patch) {
      if (op === 'test' && !isDeepStrictEqual(memberOf(found, path), value)) {
        throw new ApiError(422, 'Invalid', 'test failed');
      }
      const field = /^\/status\/(\w+)$/.exec(path)?.[1];
      if (op !== 'add' || field === undefined) continue;
      const standing = found.status?.['decision'];
      if (field === 'decision' && standing && !isDeepStrictEqual(standing, value)) {
        throw new ApiError(422, 'Invalid', 'status.decision: a decision is written once');
      }
      found.status = { ...found.status, [field]: structuredClone(value) };
      const isPart = field !== 'decision';
      const fields = isPart ? { status: { [field]: value } } : patch;
      this.writes.push({ kind: resource.kind, fields: structuredClone(fields) });
    }
    found.metadata.resourceVersion = String(++this.#version);
    return resource.parse(structuredClone(found));
  }

  async apply<T>(resource: Resource<T>, object: ApiObject, fields: object): Promise<T> {
    const found = this.#find(resource, object.metadata.namespace, object.metadata.name);
    if (object.metadata.resourceVersion !== found.metadata.resourceVersion) {
      throw new ApiError(409, 'Conflict', 'the object has been modified');
    }
    const { status } = fields as { status: Record<string, unknown> };
    found.status = { ...found.status, ...structuredClone(status) };
    this.writes.push({ kind: resource.kind, fields: structuredClone(fields) });
    found.metadata.resourceVersion = String(++this.#version);
    return resource.parse(structuredClone(found));
  }

  async delete(resource: Resource<unknown>, namespace: string, name: string): Promise<void> {
    this.#reach();
    this.remove(resource, namespace, name);
  }

  #reach(): void {
    if (!this.reachable) throw new ConnectionError('Unreachable', 'connect ECONNREFUSED');
  }

  #find(resource: Resource<unknown>, namespace: string, name: string): Stored {
    this.#reach();
    const found = this.#objects.get(this.#key(resource, `${namespace}/${name}`));
    if (found) return found;
    throw new ApiError(404, 'NotFound', `${resource.plural} "${name}" not found`);
  }

  #key(resource: Resource<unknown>, key: string): string {
    return `${resource.plural} ${key}`;
  }
}

/** A member by its JSON pointer (RFC 6901). */
function memberOf(object: unknown, pointer: string): unknown {
  return pointer
    .split('/')
    .slice(1)
    .reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], object);
}
