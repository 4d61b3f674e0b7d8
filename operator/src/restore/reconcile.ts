// SPDX-License-Identifier: Apache-2.0
// A RestoreRequest's reading and writing; what to do is decided in decide.ts.
import {
  annotations,
  fieldManagers,
  finalizers,
  isFinished,
  type CheckpointRequest,
  type RestoreRequest,
} from '../../../crds/src/index.ts';
import {
  checkpointRequests,
  proposeDecision,
  pods,
  restoreRequests,
  splitKey,
  withFaults,
  writeStatus,
  type Clock,
  type Context,
  type Parts,
} from '../../../kube/src/index.ts';
import { devicesOf, addressOwners, planAddresses } from '../networks/addresses.ts';
import { setFinalizer } from '../requests/finalizer.ts';
import { networkNames, NetworksError } from '../networks/networks.ts';
import {
  createTargetPod,
  deletePod,
  labelTarget,
  releaseTarget,
  TargetRejectedError,
  deleteIfAborted,
} from '../target-pod/actions.ts';
import { targetName, targetPod, type Template } from '../target-pod/manifest.ts';
import { recordEvents, conditionEvents } from '../requests/condition-events.ts';
import type { Dependencies } from '../requests/dependencies.ts';
import { decideRestore } from './decide.ts';
import {
  ownedStatus,
  type Effect,
  type Observed,
  type OwnStatus,
  type PodIdentity,
} from './types.ts';

export function restoreParts(
  world: Dependencies,
  clock: Clock,
): Parts<Observed, Effect, OwnStatus> {
  return {
    observe: (key, context) => observe(world, key, context),
    decide: decideRestore,
    publish: (status, observed, context) => publish(world, status, observed, context),
    act: (effect, observed, context) => act(world, clock, effect, observed, context),
  };
}

async function observe(
  world: Dependencies,
  key: string,
  { signal }: Context,
): Promise<Observed | undefined> {
  const { namespace, name } = splitKey(key);
  const request = await world.find(restoreRequests, namespace, name, signal);
  if (!request) return undefined;
  const checkpoint = await world.find(
    checkpointRequests,
    namespace,
    request.spec.checkpointName,
    signal,
  );
  const podName = newName(request, checkpoint);
  const pod = await world.findPod(namespace, podName, signal);
  const isMade = pod !== undefined || request.status?.decision !== undefined || isFinished(request);
  const identity = isMade ? made : await readIdentity(world, request, checkpoint, signal);
  const nodes = world.nodeList();
  return { request, checkpoint, pod, podName, nodes, load: world.load(), identity };
}

/** Nothing is asked of a pod that exists. */
const made: PodIdentity = { keepsDevice: true };

async function readIdentity(
  world: Dependencies,
  { metadata, spec }: RestoreRequest,
  checkpoint: CheckpointRequest | undefined,
  signal: AbortSignal,
): Promise<Observed['identity']> {
  const { namespace, uid } = metadata;
  const source = checkpoint?.status?.podTemplate?.metadata?.annotations ?? {};
  try {
    const names = networkNames(source, namespace);
    const wanted = spec.addresses ?? [];
    const configs = await world.networkConfigs(names, signal);
    const pods = await world.allPods(signal);
    const holders = addressOwners(pods, uid);
    const plan = planAddresses({ source, namespace, wanted, holders, configs });
    if ('reason' in plan) return plan;
    const device = source[annotations.rdmaDevice];
    return { ...plan, keepsDevice: device !== undefined && !devicesOf(pods, uid).has(device) };
  } catch (error) {
    if (!(error instanceof NetworksError)) throw error;
    return { reason: 'UnsupportedPod', message: error.message };
  }
}

function newName(request: RestoreRequest, checkpoint: CheckpointRequest | undefined): string {
  const { spec, status, metadata } = request;
  const old = { metadata: { name: checkpoint?.spec.podName ?? metadata.name } };
  return status?.target?.podName ?? spec.podName ?? targetName(old, metadata.uid);
}

async function publish(
  world: Dependencies,
  status: OwnStatus,
  { request, pod }: Observed,
  { signal }: Context,
): Promise<void> {
  const changed = await withFaults('operator.status', () =>
    writeStatus(world.api, {
      resource: restoreRequests,
      object: request,
      manager: fieldManagers.operator,
      owned: ownedStatus,
      status,
      onConflict: 'throw',
      signal,
    }),
  );
  if (!changed) return;
  const list = conditionEvents(request.status?.conditions, status.conditions);
  recordEvents(world, restoreRequests, request, list, { resource: pods, object: pod });
}

async function act(
  world: Dependencies,
  clock: Clock,
  effect: Effect,
  observed: Observed,
  context: Context,
): Promise<void> {
  const { request, pod, podName } = observed;
  const { namespace, name, uid } = request.metadata;
  switch (effect.type) {
    case 'AddFinalizer':
    case 'RemoveFinalizer': {
      // Publishing may have made a newer version.
      const current = await world.find(restoreRequests, namespace, name, context.signal);
      if (current?.metadata.uid !== uid) return;
      const present = effect.type === 'AddFinalizer';
      return setFinalizer(world, restoreRequests, current, finalizers.active, present, context);
    }
    case 'CreatePod':
      return createPod(world, clock, effect, observed, context);
    case 'LabelPod':
      if (pod) await labelTarget(world, pod, context);
      return;
    case 'DetachPod':
      if (pod) await releaseTarget(world, pod, context);
      return;
    case 'DeletePod': {
      const old = { namespace, name: podName, uid: effect.uid };
      return deletePod(world, old, 'operator.delete-target', effect.force ? 0 : 1, context);
    }
    case 'ProposeAbort':
      return abort(world, clock, request, effect, context);
  }
}

async function createPod(
  world: Dependencies,
  clock: Clock,
  effect: Extract<Effect, { type: 'CreatePod' }>,
  { request, checkpoint, podName }: Observed,
  context: Context,
): Promise<void> {
  const { namespace, name, uid } = request.metadata;
  const saved = checkpoint?.status?.podTemplate;
  // Gone since: the next look at it will say so.
  if (!saved) return;
  const { networks, keepsDevice } = effect.identity;
  const { [annotations.rdmaDevice]: device, ...notes } = saved.metadata?.annotations ?? {};
  const template: Template = {
    metadata: {
      labels: saved.metadata?.labels ?? {},
      annotations:
        keepsDevice && device !== undefined
          ? { ...notes, [annotations.rdmaDevice]: device }
          : notes,
    },
    spec: saved.spec,
  };
  const manifest = targetPod(template, {
    name: podName,
    namespace,
    nodeName: effect.nodeName,
    requestUid: uid,
    marker: { key: 'restore', value: `${namespace}/${name}` },
    networks,
  });
  try {
    await createTargetPod(world, request, podName, manifest, context);
  } catch (error) {
    if (!(error instanceof TargetRejectedError)) throw error;
    const current = await world.find(restoreRequests, namespace, name, context.signal);
    if (current?.metadata.uid !== uid) return;
    await abort(world, clock, current, { reason: error.code, message: error.message }, context);
    return;
  }
  await deleteIfAborted(world, restoreRequests, request, podName, context);
}

async function abort(
  world: Dependencies,
  clock: Clock,
  request: RestoreRequest,
  cause: { readonly reason: string; readonly message: string },
  { signal, log }: Context,
): Promise<void> {
  const decision = await withFaults('operator.abort', () =>
    proposeDecision(
      world.api,
      restoreRequests,
      request,
      { outcome: 'Aborted', by: 'operator', reason: cause.reason, message: cause.message },
      { signal, clock },
    ),
  );
  log.info({ proposed: cause.reason, stands: decision.outcome, by: decision.by }, 'decided');
}
