// SPDX-License-Identifier: Apache-2.0
// Objects as the simulated API server stores them, and the two kinds of patch. An object is never changed in place.
import { isDeepStrictEqual } from 'node:util';

export type Json = Record<string, unknown>;

export interface Meta {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation: number;
  readonly creationTimestamp: string;
  readonly deletionTimestamp?: string;
  readonly deletionGracePeriodSeconds?: number;
  readonly finalizers?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface StoredObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Meta;
  readonly spec?: Json;
  readonly status?: Json;
}

/** A JSON merge patch (RFC 7386). The result shares unchanged parts with the target. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const out: Json = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete out[key];
    else if (value !== undefined) out[key] = mergePatch(out[key], value);
  }
  return out;
}

export class PatchError extends Error {}

interface Operation {
  readonly op: string;
  readonly path: string;
  readonly value?: unknown;
}

/** A JSON patch (RFC 6902), as far as the product uses it: test, add and replace of members. @throws PatchError */
export function jsonPatch(target: StoredObject, operations: readonly Operation[]): StoredObject {
  let out: unknown = target;
  for (const { op, path, value } of operations) {
    const parts = path.split('/').slice(1);
    if (op === 'test') {
      const found = parts.reduce<unknown>((at, part) => (isObject(at) ? at[part] : undefined), out);
      // For the API server what is not there is null.
      if (!isDeepStrictEqual(found ?? null, value ?? null))
        throw new PatchError(`test of ${path} failed`);
    } else if (op === 'add' || op === 'replace') out = put(out, parts, value);
    else throw new PatchError(`${op} is not simulated`);
  }
  return out as StoredObject;
}

function put(target: unknown, [first, ...rest]: string[], value: unknown): unknown {
  if (first === undefined) return value;
  if (!isObject(target)) throw new PatchError(`${first} has no parent object`);
  return { ...target, [first]: put(target[first], rest, value) };
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field by its path, `status.target.nodeName` say. An absent field is empty, as for field selectors. */
export function fieldOf(object: StoredObject, path: string): string {
  const found = path
    .split('.')
    .reduce<unknown>((at, part) => (isObject(at) ? at[part] : undefined), object);
  return typeof found === 'string' ? found : '';
}
