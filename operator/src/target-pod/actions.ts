// SPDX-License-Identifier: Apache-2.0
// Creating, labelling, releasing and deleting target pods. Idempotent.
import { annotations } from '../../../crds/src/index.ts';
import {
  ApiError,
  isAlreadyExists,
  isNotFound,
  messageOf,
  pods,
  withFaults,
  type Context,
  type Decidable,
  type Pod,
  type Resource,
} from '../../../kube/src/index.ts';
import { isTargetOf } from './ownership.ts';
import { finalLabels } from './manifest.ts';
import type { Dependencies } from '../requests/dependencies.ts';

interface Request {
  readonly metadata: { readonly namespace: string; readonly uid: string };
}

/** The API server will not have this pod, however often it is asked. */
export class TargetRejectedError extends Error {
  override readonly name = 'TargetRejectedError';
  readonly code = 'TargetRejected';
}

/** @throws TargetRejectedError */
export async function createTargetPod(
  world: Dependencies,
  request: Request,
  name: string,
  manifest: object,
  { signal }: Context,
): Promise<void> {
  const { namespace } = request.metadata;
  try {
    await withFaults('operator.create-target', async () => {
      await world.api.create(pods, namespace, manifest, { signal });
    });
  } catch (error) {
    if (isAlreadyExists(error)) {
      const pod = await world.findPod(namespace, name, signal);
      if (!pod || isTargetOf(pod, request)) return;
      throw new TargetRejectedError(`Another pod has the name ${name}.`, { cause: error });
    }
    if (error instanceof ApiError && [400, 403, 422].includes(error.status)) {
      throw new TargetRejectedError(`The API server refused the target pod: ${messageOf(error)}`, {
        cause: error,
      });
    }
    throw error;
  }
}

/** Gives the target the labels of the pod that it stands for. */
export async function labelTarget(
  world: Dependencies,
  pod: Pod,
  { signal }: Context,
): Promise<void> {
  const { name, namespace, uid } = pod.metadata;
  await withFaults('operator.label-target', async () => {
    try {
      await world.api.merge(
        pods,
        namespace,
        name,
        { metadata: { uid, labels: finalLabels(pod) } },
        { signal },
      );
    } catch (error) {
      // Gone meanwhile: the next look at it will say so.
      if (!isNotFound(error)) throw error;
    }
  });
}

/** Makes it a pod like any other: it no longer names the request that has made it. */
export async function releaseTarget(
  world: Dependencies,
  pod: Pod,
  { signal }: Context,
): Promise<void> {
  const { name, namespace, uid } = pod.metadata;
  const marks = { [annotations.migration]: null, [annotations.restore]: null };
  await withFaults('operator.detach-target', async () => {
    try {
      await world.api.merge(
        pods,
        namespace,
        name,
        { metadata: { uid, annotations: marks } },
        { signal },
      );
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  });
}

/**
 * @param point fault point, e.g. `operator.delete-source`
 * @param gracePeriodSeconds 0 removes the object at once, whatever its node does.
 */
export async function deletePod(
  world: Dependencies,
  pod: { readonly namespace: string; readonly name: string; readonly uid: string },
  point: string,
  gracePeriodSeconds: number,
  { signal }: Context,
): Promise<void> {
  await withFaults(point, () =>
    world.api.delete(pods, pod.namespace, pod.name, { uid: pod.uid, gracePeriodSeconds, signal }),
  );
}

/**
 * Had it been decided while the pod was being created (by an agent, or by another operator that was
 * thought dead), or had the request been removed by force, the pod would be left behind.
 */
export async function deleteIfAborted<T extends Decidable>(
  world: Dependencies,
  resource: Resource<T>,
  request: T,
  podName: string,
  context: Context,
): Promise<void> {
  const { namespace, name, uid } = request.metadata;
  const now = await world.find(resource, namespace, name, context.signal);
  if (now?.metadata.uid === uid && now.status?.decision?.outcome !== 'Aborted') return;
  const pod = await world.findPod(namespace, podName, context.signal);
  if (!pod || !isTargetOf(pod, request)) return;
  const own = { namespace, name: podName, uid: pod.metadata.uid };
  await deletePod(world, own, 'operator.delete-target', 1, context);
  context.log.info({ pod: podName }, 'target created after the decision, deleted again');
}
