// SPDX-License-Identifier: Apache-2.0
// Adds and removes the finalizer of a request; the effects AddFinalizer and RemoveFinalizer of every controller call it.
import {
  isNotFound,
  withFaults,
  type ApiObject,
  type Context,
  type Resource,
} from '../../../kube/src/index.ts';
import type { Dependencies } from './dependencies.ts';

interface Finalized extends ApiObject {
  readonly metadata: ApiObject['metadata'] & { readonly finalizers: readonly string[] };
}

/**
 * Adds or removes a finalizer and keeps those of others. Reads the object again, for publishing the status has made a
 * newer version. An object that is gone, or was replaced, is left alone.
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
  const current = await dependencies.find(resource, namespace, name, signal);
  if (current?.metadata.uid !== uid) return;
  const { resourceVersion, finalizers: before } = current.metadata;
  if (before.includes(finalizer) === isPresent) return;
  const finalizers = isPresent ? [...before, finalizer] : before.filter((one) => one !== finalizer);
  const patch = { metadata: { resourceVersion, finalizers } };
  try {
    await withFaults('operator.finalizer', () =>
      dependencies.api.merge(resource, namespace, name, patch, { signal }),
    );
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
