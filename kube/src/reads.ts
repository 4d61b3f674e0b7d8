// SPDX-License-Identifier: Apache-2.0
// What a caller does with nearly every read: an object that is not there is no error, and a list is of parsed objects.
import type { Api, Selection } from './api.ts';
import { isNotFound } from './errors.ts';
import type { Resource } from './resource.ts';

/** @returns undefined if the object is not there */
export async function unlessNotFound<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (!isNotFound(error)) throw error;
    return undefined;
  }
}

/** A field selector: pods whose sandboxes are there. */
export const NOT_ENDED = 'status.phase!=Succeeded,status.phase!=Failed';

/**
 * Shows objects as the API server has them now, one at a time. None is kept: a list of a whole cluster may be larger than the
 * memory of this process.
 * @throws ZodError for an object that does not fit its schema
 */
export async function visit<T>(
  api: Pick<Api, 'list'>,
  resource: Resource<T>,
  selection: Selection,
  visitor: (object: T) => void,
): Promise<void> {
  const each = (item: unknown): void => visitor(resource.parse(item));
  const { items } = await api.list(resource, { ...selection, each });
  for (const item of items) each(item);
}

/**
 * As the API server has them now.
 * @param keep tells which of them; the others do not stay in memory
 * @throws ZodError for an object that does not fit its schema
 */
export async function listParsed<T>(
  api: Pick<Api, 'list'>,
  resource: Resource<T>,
  selection: Selection = {},
  keep: (object: T) => boolean = () => true,
): Promise<T[]> {
  const kept: T[] = [];
  await visit(api, resource, selection, (object) => {
    if (keep(object)) kept.push(object);
  });
  return kept;
}
