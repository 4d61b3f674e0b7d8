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

/** As the API server has them now. @throws ZodError for an object that does not fit its schema */
export async function listParsed<T>(
  api: Pick<Api, 'list'>,
  resource: Resource<T>,
  selection: Selection = {},
): Promise<T[]> {
  const { items } = await api.list(resource, selection);
  return items.map((item) => resource.parse(item));
}
