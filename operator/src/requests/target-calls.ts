// SPDX-License-Identifier: Apache-2.0
// Creates target pods, lets Services select them, releases and deletes them. Idempotent.
import { annotations, labels, podConditions } from '../../../crds/src/index.ts';
import {
  ApiError,
  isAlreadyExists,
  messageOf,
  pods,
  unlessNotFound,
  withFaults,
  type Context,
  type Decidable,
  type Pod,
  type Resource,
} from '../../../kube/src/index.ts';
import { isTargetOf, ownersAfterMove } from '../target-pod/ownership.ts';
import type { Dependencies } from './dependencies.ts';
import { setPodCondition } from './pod-writes.ts';

interface Request {
  readonly metadata: { readonly namespace: string; readonly uid: string };
}

/** As observed, the request may not have its target in its status yet: it is published before the pod is created. */
const named = ({ metadata: { uid } }: { metadata: { uid: string } }, podName: string) => ({
  metadata: { uid },
  status: { target: { podName } },
});

/** The API server refuses this pod, however often it is asked. */
export class TargetRejectedError extends Error {
  override readonly name = 'TargetRejectedError';
  readonly code = 'TargetRejected';
}

/** @throws TargetRejectedError */
export async function createTargetPod(
  dependencies: Dependencies,
  request: Request,
  name: string,
  manifest: object,
  { signal }: Context,
): Promise<void> {
  const { namespace } = request.metadata;
  try {
    await withFaults('operator.create-target', async () => {
      await dependencies.api.create(pods, namespace, manifest, { signal });
    });
  } catch (error) {
    if (isAlreadyExists(error)) {
      const pod = await dependencies.findPod(namespace, name, signal);
      if (!pod || isTargetOf(pod, named(request, name))) return;
      throw new TargetRejectedError(
        `Another pod has the target's name ${name}. Delete that pod, then create a new request.`,
        { cause: error },
      );
    }
    if (error instanceof ApiError && [400, 403, 422].includes(error.status)) {
      throw new TargetRejectedError(
        `The API server refused the target pod: ${messageOf(error)} See the admission policies and quotas of the namespace, then create a new request.`,
        { cause: error },
      );
    }
    throw error;
  }
}

/** Sets the target's readiness gate: Services select it once its containers are ready. */
export async function allowTraffic(
  dependencies: Dependencies,
  pod: Pod,
  context: Context,
): Promise<void> {
  const { committed } = podConditions;
  const isSet = pod.status.conditions.some(
    (one) => one.type === committed && one.status === 'True',
  );
  await withFaults('operator.allow-traffic', async () => {
    if (!isSet) {
      const condition = {
        type: committed,
        status: 'True',
        reason: 'Committed',
        message: 'The move is decided.',
      } as const;
      await setPodCondition(dependencies, pod, condition, context);
    }
    await patchMetadata(dependencies, pod, { labels: { [labels.role]: null } }, context.signal);
  });
}

/** Makes the target a pod like any other: it no longer names the request that created it. */
export async function releaseTarget(
  dependencies: Dependencies,
  pod: Pod,
  { signal }: Context,
): Promise<void> {
  const patch = {
    annotations: { [annotations.migration]: null, [annotations.restore]: null },
    ownerReferences: ownersAfterMove(pod),
    // The list is replaced whole.
    resourceVersion: pod.metadata.resourceVersion,
  };
  await withFaults('operator.release-target', () =>
    patchMetadata(dependencies, pod, patch, signal),
  );
}

async function patchMetadata(
  { api }: Dependencies,
  { metadata: { namespace, name, uid } }: Pod,
  patch: object,
  signal: AbortSignal,
): Promise<void> {
  const metadata = { uid, ...patch };
  await unlessNotFound(api.merge(pods, namespace, name, { metadata }, { signal }));
}

/**
 * @param point fault point, e.g. `operator.delete-source`
 * @param gracePeriodSeconds 0 removes the object at once, whatever its node does; undefined: the pod's own
 */
export async function deletePod(
  dependencies: Dependencies,
  pod: { readonly namespace: string; readonly name: string; readonly uid: string },
  point: string,
  gracePeriodSeconds: number | undefined,
  { signal }: Context,
): Promise<void> {
  await withFaults(point, () =>
    dependencies.api.delete(pods, pod.namespace, pod.name, {
      uid: pod.uid,
      gracePeriodSeconds,
      signal,
    }),
  );
}

/**
 * Deletes a target pod that was created after `Aborted`, or after its request was removed by force. An agent, or an
 * operator that has lost its lease without knowing, may have decided while this one created the pod.
 */
export async function deleteIfAborted<T extends Decidable>(
  dependencies: Dependencies,
  resource: Resource<T>,
  request: T,
  podName: string,
  context: Context,
): Promise<void> {
  const { namespace, name, uid } = request.metadata;
  const current = await dependencies.find(resource, namespace, name, context.signal);
  if (current?.metadata.uid === uid && current.status?.decision?.outcome !== 'Aborted') return;
  const pod = await dependencies.findPod(namespace, podName, context.signal);
  if (!pod || !isTargetOf(pod, named(request, podName))) return;
  const own = { namespace, name: podName, uid: pod.metadata.uid };
  await deletePod(dependencies, own, 'operator.delete-target', 1, context);
  context.log.info({ pod: podName }, 'target created after the decision, deleted again');
}
