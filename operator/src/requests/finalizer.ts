// SPDX-License-Identifier: Apache-2.0
import {
  withFaults,
  isNotFound,
  type ApiObject,
  type Context,
  type Resource,
} from '../../../kube/src/index.ts';
import type { Dependencies } from './dependencies.ts';

interface Finalized extends ApiObject {
  readonly metadata: ApiObject['metadata'] & { readonly finalizers: readonly string[] };
}

/**
 * Adds or removes a finalizer, keeping those of others: the object has to be the version that was
 * read.
 * @throws ApiError `Conflict` when it is not; then read again.
 */
export async function setFinalizer<T extends Finalized>(
  world: Dependencies,
  resource: Resource<T>,
  object: T,
  finalizer: string,
  present: boolean,
  { signal }: Context,
): Promise<void> {
  const { name, namespace, resourceVersion, finalizers } = object.metadata;
  if (finalizers.includes(finalizer) === present) return;
  const next = present ? [...finalizers, finalizer] : finalizers.filter((one) => one !== finalizer);
  try {
    await withFaults('operator.finalizer', () =>
      world.api.merge(
        resource,
        namespace,
        name,
        { metadata: { resourceVersion, finalizers: next } },
        { signal },
      ),
    );
  } catch (error) {
    if (present || !isNotFound(error)) throw error;
  }
}
