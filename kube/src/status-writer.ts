// SPDX-License-Identifier: Apache-2.0
// Writes one writer's part of a status by server-side apply, only if it differs from the current one.
import { isDeepStrictEqual } from 'node:util';
import type { Api } from './api.ts';
import { isConflict } from './errors.ts';
import type { ApiObject, Resource } from './resource.ts';

export interface StatusWrite<T extends ApiObject> {
  readonly resource: Resource<T>;
  /** As read. The server refuses the write if another object of that name has replaced it. */
  readonly object: T;
  /** The field manager: no other writer may write these fields. */
  readonly manager: string;
  /** Every field of the status that this manager owns. */
  readonly owned: readonly string[];
  /** The fields' values. An owned field that is absent here is removed. */
  readonly status: object;
  /**
   * `retry`: the part is true whatever else has changed meanwhile (an agent that reports facts).
   * `throw`: the part follows from the object as read (the operator), so the caller has to read again.
   */
  readonly onConflict: 'retry' | 'throw';
  readonly signal?: AbortSignal | undefined;
}

const maxAttempts = 6;

/** @returns the object after the write; undefined when there was nothing to write. */
export async function writeStatus<T extends ApiObject>(
  api: Api,
  write: StatusWrite<T>,
): Promise<T | undefined> {
  const wanted = withoutUndefined(write.status) as Record<string, unknown>;
  const current = (write.object as { status?: Record<string, unknown> }).status ?? {};
  for (const key of Object.keys(wanted)) {
    if (!write.owned.includes(key)) throw new Error(`${write.manager} does not own status.${key}`);
  }
  const same = write.owned.every((key) =>
    isDeepStrictEqual(wanted[key], withoutUndefined(current[key])),
  );
  if (same) return undefined;
  // The server ignores a UID on /status; the version keeps the write away from another object of that name.
  let object = write.object;
  for (let attempt = 1; ; attempt++) {
    try {
      return await api.apply(
        write.resource,
        object,
        { status: wanted },
        { manager: write.manager, subresource: 'status', exact: true, signal: write.signal },
      );
    } catch (error) {
      if (!isConflict(error) || write.onConflict === 'throw' || attempt >= maxAttempts) throw error;
      const { namespace, name, uid } = object.metadata;
      object = await api.get(write.resource, namespace, name, { signal: write.signal });
      if (object.metadata.uid !== uid) throw error;
    }
  }
}

/** JSON has no undefined, so the comparison leaves it out. */
export function withoutUndefined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUndefined);
  if (typeof value !== 'object' || value === null) return value;
  const out: Record<string, unknown> = {};
  for (const [key, child] of Object.entries(value)) {
    if (child !== undefined) out[key] = withoutUndefined(child);
  }
  return out;
}
