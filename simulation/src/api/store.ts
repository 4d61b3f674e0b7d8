// SPDX-License-Identifier: Apache-2.0
// The objects of the simulated API server: versions, conflicts, ownership of status fields, finalizers, and the history
// that serves watches. Every operation is atomic.
import { isDeepStrictEqual } from 'node:util';
import { ApiError, deepFreeze } from '../../../kube/src/index.ts';
import type { Random } from '../random.ts';
import {
  fieldOf,
  jsonPatch,
  mergePatch,
  PatchError,
  type Json,
  type StoredObject,
} from './objects.ts';
import { checkWrite } from './rules.ts';

/** As a client sends it. */
type NewObject = Omit<StoredObject, 'metadata'> & {
  readonly metadata: Partial<StoredObject['metadata']> & { readonly generateName?: string };
};

export interface Change {
  readonly version: number;
  readonly before: StoredObject | undefined;
  readonly after: StoredObject | undefined;
}

export interface ObjectKey {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export interface Writer {
  /** `operator`, `agent/<node>`, `kubelet/<node>`, `user`. */
  readonly by: string;
  readonly manager?: string | undefined;
  readonly subresource?: 'status' | undefined;
}

const notFound = ({ kind, name }: ObjectKey): ApiError =>
  new ApiError(404, 'NotFound', `${kind} ${name} not found`);
const conflict = (message: string): ApiError => new ApiError(409, 'Conflict', message);

export class Store {
  readonly #objects = new Map<string, StoredObject>();
  readonly #history: Change[] = [];
  readonly #listeners: ((change: Change) => void)[] = [];
  /** Object UID -> field of its status -> field manager. */
  readonly #owners = new Map<string, Map<string, string>>();
  readonly #random: Random;
  readonly #now: () => number;
  #version = 1;
  #compacted = 0;

  constructor(random: Random, now: () => number) {
    this.#random = random;
    this.#now = now;
  }

  get version(): number {
    return this.#version;
  }

  /** Calls back at every change, synchronously. */
  onChange(listener: (change: Change) => void): void {
    this.#listeners.push(listener);
  }

  find(kind: string, namespace: string, name: string): StoredObject | undefined {
    return this.#objects.get(`${kind} ${namespace}/${name}`);
  }

  all(kind: string): StoredObject[] {
    return [...this.#objects.values()].filter((object) => object.kind === kind);
  }

  get(target: ObjectKey): StoredObject {
    const found = this.find(target.kind, target.namespace, target.name);
    if (!found) throw notFound(target);
    return found;
  }

  list(kind: string, namespace: string | undefined, selector: string | undefined): StoredObject[] {
    return this.all(kind).filter((object) => selects(object, namespace, selector));
  }

  /** Changes after a version. @throws ApiError `Expired` if the history does not reach back that far */
  since(version: number): readonly Change[] {
    if (version < this.#compacted) throw new ApiError(410, 'Expired', 'too old resource version');
    return this.#history.filter((change) => change.version > version);
  }

  /** Drops the history: a watch that breaks has to list again. */
  compact(): void {
    this.#compacted = this.#version;
    this.#history.length = 0;
  }

  create(body: NewObject, writer: Writer): StoredObject {
    const { namespace = '', generateName = '' } = body.metadata;
    const { name = generateName + this.#random.hex(5) } = body.metadata;
    if (this.find(body.kind, namespace, name)) {
      throw new ApiError(409, 'AlreadyExists', `${body.kind} ${name} already exists`);
    }
    const { status: _status, ...rest } = body;
    const hex = this.#random.hex(12);
    const object = {
      ...(body.kind === 'Pod' || body.kind === 'Node' ? body : rest),
      metadata: {
        ...body.metadata,
        name,
        namespace,
        uid: `${hex.slice(0, 8)}-${hex.slice(8)}`,
        generation: 1,
        creationTimestamp: new Date(this.#now()).toISOString().replace(/\.\d+/, ''),
      },
    } as StoredObject;
    return this.#put(undefined, object, writer);
  }

  merge(target: ObjectKey, patch: object, writer: Writer): StoredObject {
    const before = this.get(target);
    const { metadata } = patch as { metadata?: { resourceVersion?: string; uid?: string } };
    if (metadata?.uid !== undefined && metadata.uid !== before.metadata.uid) {
      throw conflict('another uid');
    }
    const expected = metadata?.resourceVersion;
    if (expected !== undefined && expected !== before.metadata.resourceVersion) {
      throw conflict('the object has been modified');
    }
    return this.#put(before, mergePatch(before, patch) as StoredObject, writer);
  }

  patch(target: ObjectKey, patch: Parameters<typeof jsonPatch>[1], writer: Writer): StoredObject {
    const before = this.get(target);
    try {
      return this.#put(before, jsonPatch(before, patch), writer);
    } catch (error) {
      if (!(error instanceof PatchError)) throw error;
      throw new ApiError(422, 'Invalid', error.message);
    }
  }

  /**
   * Server-side apply of a status, forced. In Sealift each field of a status has one manager, which this asserts. So the
   * manager's fields are replaced whole, and those that it no longer sends are removed.
   */
  applyStatus(
    target: ObjectKey,
    version: string | undefined,
    status: Json,
    writer: Writer,
  ): StoredObject {
    const before = this.get(target);
    if (version !== undefined && version !== before.metadata.resourceVersion) {
      throw conflict('the object has been modified');
    }
    const manager = writer.manager ?? '';
    const owners = this.#ownersOf(before);
    const next: Json = { ...before.status };
    for (const [field, owner] of owners) {
      if (owner === manager && !(field in status)) {
        delete next[field];
        owners.delete(field);
      }
    }
    for (const [field, value] of Object.entries(status)) {
      const owner = owners.get(field);
      if (owner !== undefined && owner !== manager) {
        throw new Error(`${manager} takes status.${field} from ${owner}: not simulated`);
      }
      owners.set(field, manager);
      next[field] = value;
    }
    return this.#put(before, { ...before, status: next }, { ...writer, subresource: 'status' });
  }

  delete(target: ObjectKey, uid: string | undefined, graceSeconds: number | undefined): void {
    const before = this.get(target);
    const { metadata } = before;
    if (uid !== undefined && uid !== metadata.uid) throw conflict('another uid');
    const isBound = before.kind === 'Pod' && fieldOf(before, 'spec.nodeName') !== '';
    const grace = isBound ? (graceSeconds ?? 30) : 0;
    const hasFinalizers = (metadata.finalizers ?? []).length > 0;
    if (grace === 0 && !hasFinalizers) return this.#remove(before);
    const pendingGrace = metadata.deletionGracePeriodSeconds;
    if (metadata.deletionTimestamp !== undefined && (pendingGrace ?? 0) <= grace) return;
    const deletionTimestamp =
      metadata.deletionTimestamp ?? new Date(this.#now()).toISOString().replace(/\.\d+/, '');
    this.#write(before, {
      ...before,
      metadata: {
        ...metadata,
        deletionTimestamp,
        deletionGracePeriodSeconds: grace,
        generation: metadata.generation + 1,
      },
    });
  }

  #put(before: StoredObject | undefined, wanted: StoredObject, writer: Writer): StoredObject {
    let after = wanted;
    if (before) {
      // A write to the status changes nothing else, and any other write leaves the status.
      after =
        writer.subresource === 'status'
          ? withStatus(before, wanted.status)
          : withStatus(wanted, before.kind.endsWith('Request') ? before.status : wanted.status);
      const isSame =
        isDeepStrictEqual(before.spec, after.spec) &&
        isDeepStrictEqual(before.status, after.status) &&
        isDeepStrictEqual(before.metadata, after.metadata);
      if (isSame) return before;
      const { generation } = before.metadata;
      const changed = !isDeepStrictEqual(before.spec, after.spec);
      after = {
        ...after,
        metadata: { ...after.metadata, generation: changed ? generation + 1 : generation },
      };
    }
    const { deletionTimestamp, finalizers = [] } = after.metadata;
    if (before && deletionTimestamp !== undefined && finalizers.length === 0) {
      if ((before.metadata.finalizers ?? []).length > 0) {
        this.#remove(before);
        return after;
      }
    }
    return this.#write(before, after, writer.by);
  }

  #write(before: StoredObject | undefined, after: StoredObject, by?: string): StoredObject {
    const version = this.#version + 1;
    const written = deepFreeze({
      ...after,
      metadata: { ...after.metadata, resourceVersion: String(version) },
    });
    if (by !== undefined) checkWrite(before, written, by);
    this.#version = version;
    this.#objects.set(keyOf(written), written);
    this.#notify({ version, before, after: written });
    return written;
  }

  #remove(before: StoredObject): void {
    const version = ++this.#version;
    this.#objects.delete(keyOf(before));
    this.#owners.delete(before.metadata.uid);
    this.#notify({ version, before, after: undefined });
  }

  #notify(change: Change): void {
    this.#history.push(change);
    for (const listener of this.#listeners) listener(change);
  }

  #ownersOf({ metadata }: StoredObject): Map<string, string> {
    let owners = this.#owners.get(metadata.uid);
    if (!owners) this.#owners.set(metadata.uid, (owners = new Map<string, string>()));
    return owners;
  }
}

const keyOf = ({ kind, metadata }: StoredObject): string =>
  `${kind} ${metadata.namespace}/${metadata.name}`;

function withStatus(
  { status: _status, ...rest }: StoredObject,
  status: Json | undefined,
): StoredObject {
  return status === undefined ? rest : { ...rest, status };
}

/** @param selector a field selector `path=value`. The product uses no label selectors */
export function selects(
  object: StoredObject,
  namespace: string | undefined,
  selector: string | undefined,
): boolean {
  if (namespace && object.metadata.namespace !== namespace) return false;
  if (selector === undefined) return true;
  const at = selector.indexOf('=');
  return fieldOf(object, selector.slice(0, at)) === selector.slice(at + 1);
}
