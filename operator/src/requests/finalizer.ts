// SPDX-License-Identifier: Apache-2.0
// Adds and removes the finalizer of a request; the effects AddFinalizer and RemoveFinalizer of every controller call it.
import {
  isInvalid,
  isNotFound,
  withFaults,
  type ApiObject,
  type Context,
  type JsonPatch,
  type Resource,
} from '../../../kube/src/index.ts';
import type { Dependencies } from './dependencies.ts';

interface Finalized extends ApiObject {
  readonly metadata: ApiObject['metadata'] & { readonly finalizers: readonly string[] };
}

/**
 * Adds or removes a finalizer and keeps those of others. One request, as long as nobody has changed the finalizers since the
 * object was observed; a newer version that differs in something else, as after the status was published, does not matter. An
 * object that is gone, or was replaced, is left alone.
 * @throws ApiError `Conflict` when another component has changed the object meanwhile
 */
export async function setFinalizer<T extends Finalized>(
  dependencies: Dependencies,
  resource: Resource<T>,
  observed: T,
  finalizer: string,
  isPresent: boolean,
  { signal }: Context,
): Promise<void> {
  const { namespace, name, uid } = observed.metadata;
  const change = (from: T): Promise<unknown> | undefined => {
    const before = from.metadata.finalizers;
    if (before.includes(finalizer) === isPresent) return undefined;
    const after = isPresent ? [...before, finalizer] : before.filter((one) => one !== finalizer);
    const patch = listPatch(uid, before, after);
    return withFaults('operator.finalizer', () =>
      dependencies.api.jsonPatch(resource, namespace, name, patch, { signal }),
    );
  };
  try {
    await change(observed);
  } catch (error) {
    if (isNotFound(error)) return;
    if (!isInvalid(error)) throw error;
    const current = await dependencies.find(resource, namespace, name, signal);
    if (current?.metadata.uid !== uid) return;
    await change(current);
  }
}

/** Its tests fail where another object has the name, or other finalizers are there. No list is none: the server says null. */
function listPatch(uid: string, before: readonly string[], after: readonly string[]): JsonPatch[] {
  const path = '/metadata/finalizers';
  return [
    { op: 'test', path: '/metadata/uid', value: uid },
    { op: 'test', path, value: before.length > 0 ? before : null },
    { op: 'add', path, value: after },
  ];
}
