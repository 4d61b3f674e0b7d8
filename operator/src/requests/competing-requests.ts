// SPDX-License-Identifier: Apache-2.0
import type { CheckpointRequest, MigrationRequest } from '../../../crds/src/index.ts';
import {
  ApiError,
  checkpointRequests,
  migrationRequests,
  type ApiObject,
  type Resource,
} from '../../../kube/src/index.ts';
import { refuseCompeting } from '../migration/validate.ts';
import type { Dependencies } from './dependencies.ts';

interface PodRequest extends ApiObject {
  readonly spec: { readonly podName: string };
}

/** Kinds that lay claim to a pod. */
export const competingKinds = [migrationRequests, checkpointRequests] as const;

/**
 * Writes the status that accepts a request. Requests for one pod are looked at side by side, and what
 * one run has read may be from before another's acceptance: hence one at a time, and a second look.
 * @throws ApiError `Conflict` when another request was accepted meanwhile: look at everything again.
 */
export async function acceptExclusively<T>(
  world: Dependencies,
  request: MigrationRequest | CheckpointRequest,
  signal: AbortSignal,
  write: () => Promise<T>,
): Promise<T> {
  const key = `${request.metadata.namespace}/${request.spec.podName}`;
  return world.accepting.run(key, async () => {
    const refusal = refuseCompeting(
      request,
      await competingRequests(world, request, competingKinds, signal),
    );
    if (refusal) throw new ApiError(409, 'Conflict', refusal.message);
    return write();
  });
}

type Parsed<T> = T extends readonly Resource<infer O>[] ? O : never;

/** Every other request of the given kinds for the same pod, as it is now. */
export async function competingRequests<T extends readonly Resource<PodRequest>[]>(
  world: Dependencies,
  request: PodRequest,
  resources: T,
  signal: AbortSignal,
): Promise<Parsed<T>[]> {
  const lists = await Promise.all(
    resources.map(async (resource) => {
      const { items } = await world.api.list(resource, {
        namespace: request.metadata.namespace,
        fieldSelector: `spec.podName=${request.spec.podName}`,
        signal,
      });
      return items.map((item) => resource.parse(item) as Parsed<T>);
    }),
  );
  return lists.flat().filter((other) => other.metadata.uid !== request.metadata.uid);
}
