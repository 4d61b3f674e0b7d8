// SPDX-License-Identifier: Apache-2.0
// Writes the one field of a status that a node agent owns. The write depends on nothing that others write, so it never
// loses to them and needs one request (docs/adr/0024).
import { isDeepStrictEqual } from 'node:util';
import type { Api, JsonPatch } from './api.ts';
import { isInvalid, TerminalError } from './errors.ts';
import type { ApiObject, Resource } from './resource.ts';
import { withoutUndefined } from './status-writer.ts';

export interface PartWrite<T extends ApiObject> {
  readonly resource: Resource<T>;
  /** As read. The server refuses the write if another object of that name has replaced it. */
  readonly object: T;
  readonly manager: string;
  /** The field of the status. Nobody else writes it. */
  readonly field: string;
  readonly value: object;
  /** What the field has, if the caller has written it since it read the object. */
  readonly known?: unknown;
  readonly signal?: AbortSignal | undefined;
}

const maxAttempts = 6;

/**
 * Replaces the field, if it differs. A write that arrives late, after a newer one, is refused: the patch tests the field's
 * former value. Where there is none yet, it tests the object's version. What the field has beyond this process's schema, from a
 * newer agent, stays; the test, which is of the whole field, then fails once and the field is read as the server has it.
 * @returns the object's version after the write; undefined if there was nothing to write
 * @throws TerminalError RequestReplaced; ApiError NotFound, Invalid; ConnectionError
 */
export async function writePart<T extends ApiObject & { readonly status?: unknown }>(
  api: Api,
  write: PartWrite<T>,
): Promise<string | undefined> {
  const { resource, field, manager, signal } = write;
  const { name, namespace, uid } = write.object.metadata;
  const wanted = withoutUndefined(write.value);
  let { object } = write;
  let before = write.known ?? partOf(object, field);
  let value = wanted;
  for (let attempt = 1; !isDeepStrictEqual(value, before); attempt++) {
    try {
      const operations = patch(object, field, before, value);
      const written = await api.jsonPatch(resource, namespace, name, operations, {
        ...{ manager, subresource: 'status', signal },
      });
      return written.metadata.resourceVersion;
    } catch (error) {
      if (!isInvalid(error) || attempt >= maxAttempts) throw error;
      const { resourceVersion } = object.metadata;
      const stored = await api.getRaw(resource, namespace, name, { signal });
      object = resource.parse(stored);
      if (object.metadata.uid !== uid) {
        throw new TerminalError(
          'RequestReplaced',
          `Another request has the name ${namespace}/${name} now.`,
          error,
        );
      }
      const now = partOf(stored as { status?: unknown }, field);
      const isSame = isDeepStrictEqual(now, before);
      // Nothing that the patch tests has changed: the server refuses the value.
      if (isSame && (now !== undefined || object.metadata.resourceVersion === resourceVersion)) {
        throw error;
      }
      before = now;
      value = withUnknown(wanted, now, partOf(object, field));
    }
  }
  return undefined;
}

function partOf(object: { readonly status?: unknown }, field: string): unknown {
  return withoutUndefined((object.status as Record<string, unknown> | undefined)?.[field]);
}

function patch(
  { metadata: { uid, resourceVersion } }: ApiObject,
  field: string,
  before: unknown,
  value: unknown,
): JsonPatch[] {
  const path = `/status/${field}`;
  return [
    { op: 'test', path: '/metadata/uid', value: uid },
    before === undefined
      ? { op: 'test', path: '/metadata/resourceVersion', value: resourceVersion }
      : { op: 'test', path, value: before },
    { op: 'add', path, value },
  ];
}

/**
 * @param stored what the server has
 * @param known the same as this process's schema reads it
 * @returns `wanted` with what the schema has left out, in objects, and in lists of objects with names
 */
function withUnknown(wanted: unknown, stored: unknown, known: unknown): unknown {
  if (Array.isArray(wanted) && Array.isArray(stored) && Array.isArray(known)) {
    return wanted.map((one: unknown) => {
      const at = stored.findIndex((other) => isNamedAs(one, other));
      return at < 0 ? one : withUnknown(one, stored[at], known[at]);
    });
  }
  if (!isObject(wanted) || !isObject(stored) || !isObject(known)) return wanted;
  const whole: Record<string, unknown> = { ...wanted };
  for (const [key, value] of Object.entries(stored)) {
    if (key in wanted) whole[key] = withUnknown(wanted[key], value, known[key]);
    else if (!(key in known)) whole[key] = value;
  }
  return whole;
}

const isNamedAs = (one: unknown, other: unknown): boolean =>
  isObject(one) && isObject(other) && one['name'] !== undefined && one['name'] === other['name'];

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
