// SPDX-License-Identifier: Apache-2.0
// Carries out the effects that MigrationRequests and RestoreRequests have in common. Idempotent.
import { finalizers } from '../../../crds/src/index.ts';
import {
  proposeDecision,
  withFaults,
  type Context,
  type Resource,
} from '../../../kube/src/index.ts';
import { NetworksError } from '../networks/networks.ts';
import {
  allowTraffic,
  createTargetPod,
  deleteIfAborted,
  deletePod,
  releaseTarget,
  TargetRejectedError,
} from './target-calls.ts';
import type { AbortCause } from './abort-cause.ts';
import type { Dependencies } from './dependencies.ts';
import { setFinalizer } from './finalizer.ts';
import type { HandoverEffect, HandoverObserved, HandoverRequest } from './handover-types.ts';

interface Observed<T> extends HandoverObserved {
  readonly request: T & HandoverRequest;
}

export async function actOnHandover<T extends HandoverRequest>(
  dependencies: Dependencies,
  resource: Resource<T>,
  effect: HandoverEffect,
  { request, targetPod }: Observed<T>,
  context: Context,
): Promise<void> {
  switch (effect.type) {
    case 'AddFinalizer':
    case 'RemoveFinalizer': {
      const isPresent = effect.type === 'AddFinalizer';
      return setFinalizer(dependencies, resource, request, finalizers.active, isPresent, context);
    }
    case 'DeleteRequest': {
      const { namespace, name, uid } = request.metadata;
      return withFaults('operator.delete-request', () =>
        dependencies.api.delete(resource, namespace, name, { uid, signal: context.signal }),
      );
    }
    case 'AllowTraffic':
      if (!targetPod) return;
      await allowTraffic(dependencies, targetPod, context);
      dependencies.looks.allowed(request, dependencies.clock.now());
      return;
    case 'ReleaseTarget':
      if (targetPod) await releaseTarget(dependencies, targetPod, context);
      return;
    case 'DeleteTarget': {
      if (!targetPod) return;
      const { namespace, name } = targetPod.metadata;
      const pod = { namespace, name, uid: effect.uid };
      const gracePeriodSeconds = effect.force ? 0 : 1;
      return deletePod(dependencies, pod, 'operator.delete-target', gracePeriodSeconds, context);
    }
    case 'ProposeAbort':
      return proposeAbort(dependencies, resource, request, effect, context);
  }
}

/** Proposes `Aborted`; an earlier decision stands. */
async function proposeAbort<T extends HandoverRequest>(
  { api, clock }: Dependencies,
  resource: Resource<T>,
  request: T,
  { reason, message }: AbortCause,
  { signal, log }: Context,
): Promise<void> {
  const proposal = { outcome: 'Aborted', by: 'operator', reason, message } as const;
  const decision = await withFaults('operator.abort', () =>
    proposeDecision(api, resource, request, proposal, { signal, clock }),
  );
  log.info({ proposed: reason, stands: decision.outcome, by: decision.by }, 'decided');
}

/**
 * Creates the target pod. A pod that the API server refuses, or whose networks cannot be read, aborts the request.
 * @param manifest returns undefined if the pod or checkpoint that it reads is deleted: the next reconcile reports that
 */
export async function createTarget<T extends HandoverRequest>(
  dependencies: Dependencies,
  resource: Resource<T>,
  request: T,
  podName: string,
  manifest: () => Promise<object | undefined>,
  context: Context,
): Promise<void> {
  const { namespace, name, uid } = request.metadata;
  try {
    const pod = await manifest();
    if (!pod) return;
    await createTargetPod(dependencies, request, podName, pod, context);
  } catch (error) {
    if (!(error instanceof TargetRejectedError || error instanceof NetworksError)) throw error;
    const current = await dependencies.find(resource, namespace, name, context.signal);
    if (current?.metadata.uid !== uid) return;
    const cause = { reason: 'TargetRejected', message: error.message };
    return proposeAbort(dependencies, resource, current, cause, context);
  }
  await deleteIfAborted(dependencies, resource, request, podName, context);
}
