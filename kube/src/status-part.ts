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
 * former value. Where there is none yet, it tests the object's version.
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
  for (let attempt = 1; !isDeepStrictEqual(wanted, before); attempt++) {
    try {
      const operations = patch(object, field, before, wanted);
      const written = await api.jsonPatch(resource, namespace, name, operations, {
        ...{ manager, subresource: 'status', signal },
      });
      return written.metadata.resourceVersion;
    } catch (error) {
      if (!isInvalid(error) || attempt >= maxAttempts) throw error;
      const { resourceVersion } = object.metadata;
      object = await api.get(resource, namespace, name, { signal });
      if (object.metadata.uid !== uid) {
        throw new TerminalError(
          'RequestReplaced',
          `Another request has the name ${namespace}/${name} now.`,
          error,
        );
      }
      const now = partOf(object, field);
      const isSame = isDeepStrictEqual(now, before);
      // Nothing that the patch tests has changed: the server refuses the value.
      if (isSame && (now !== undefined || object.metadata.resourceVersion === resourceVersion)) {
        throw error;
      }
      before = now;
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
