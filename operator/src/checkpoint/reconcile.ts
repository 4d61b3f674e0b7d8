// SPDX-License-Identifier: Apache-2.0
// A CheckpointRequest's reading and writing; what to do is decided in decide.ts.
import {
  annotations,
  fieldManagers,
  finalizers,
  isFinished,
  isStored,
  type CheckpointRequest,
} from '../../../crds/src/index.ts';
import {
  checkpointRequests,
  isNotFound,
  pods,
  restoreRequests,
  splitKey,
  withFaults,
  writeStatus,
  type Context,
  type Parts,
  type Pod,
} from '../../../kube/src/index.ts';
import { setFinalizer } from '../requests/finalizer.ts';
import { keepAddresses, networkNames, NetworksError } from '../networks/networks.ts';
import {
  acceptExclusively,
  competingKinds,
  competingRequests,
} from '../requests/competing-requests.ts';
import { templateOf, type Template } from '../target-pod/manifest.ts';
import type { Refusal } from '../requests/refusal.ts';
import { recordEvents, conditionEvents } from '../requests/condition-events.ts';
import type { Dependencies } from '../requests/dependencies.ts';
import {
  decideCheckpoint,
  ownedStatus,
  type Effect,
  type Observed,
  type OwnStatus,
} from './decide.ts';

export function checkpointParts(world: Dependencies): Parts<Observed, Effect, OwnStatus> {
  return {
    observe: (key, context) => observe(world, key, context),
    decide: decideCheckpoint,
    publish: (status, observed, context) => publish(world, status, observed, context),
    act: (effect, observed, context) => act(world, effect, observed, context),
  };
}

async function observe(
  world: Dependencies,
  key: string,
  { signal }: Context,
): Promise<Observed | undefined> {
  const { namespace, name } = splitKey(key);
  const request = await world.find(checkpointRequests, namespace, name, signal);
  if (!request) return undefined;
  const pod = await world.findPod(namespace, request.spec.podName, signal);
  const isNew = request.status?.podUID === undefined;
  const others = isNew ? await competingRequests(world, request, competingKinds, signal) : [];
  const template = isNew && pod ? await readTemplate(world, pod, signal) : undefined;
  const inUse =
    request.spec.retention && isFinished(request) ? await hasReader(world, request, signal) : false;
  const newer = await newerThan(world, request, signal);
  return { request, pod, template, others, nodes: world.nodeList(), inUse, newer };
}

/** Checkpoints of the same pod that have succeeded after this one; 0 where that is of no account. */
async function newerThan(
  world: Dependencies,
  request: CheckpointRequest,
  signal: AbortSignal,
): Promise<number> {
  if (request.spec.retention?.keepLast === undefined || !isFinished(request)) return 0;
  const { podUID, completionTime = '' } = request.status ?? {};
  const all = await competingRequests(world, request, [checkpointRequests], signal);
  const isNewer = (other: CheckpointRequest): boolean => {
    const at = other.status?.completionTime ?? '';
    if (at === completionTime) return other.metadata.uid > request.metadata.uid;
    return Date.parse(at) > Date.parse(completionTime);
  };
  return all.filter((one) => isStored(one) && one.status?.podUID === podUID && isNewer(one)).length;
}

async function hasReader(
  world: Dependencies,
  { metadata }: CheckpointRequest,
  signal: AbortSignal,
): Promise<boolean> {
  const { items } = await world.api.list(restoreRequests, {
    namespace: metadata.namespace,
    fieldSelector: `spec.checkpointName=${metadata.name}`,
    signal,
  });
  return items.some((item) => !isFinished(restoreRequests.parse(item)));
}

/** The pod's description, its networks annotation asking for the addresses that it has now. */
async function readTemplate(
  world: Dependencies,
  { metadata }: Pod,
  signal: AbortSignal,
): Promise<Template | Refusal> {
  const { namespace, name } = metadata;
  const template = templateOf(await world.rawPod(namespace, name, signal));
  try {
    const notes = metadata.annotations;
    const configs = await world.networkConfigs(networkNames(notes, namespace), signal);
    const networks = keepAddresses(notes, namespace, configs);
    if (networks !== undefined) template.metadata.annotations[annotations.networks] = networks;
    return template;
  } catch (error) {
    if (!(error instanceof NetworksError)) throw error;
    return { reason: 'UnsupportedPod', message: error.message };
  }
}

async function publish(
  world: Dependencies,
  status: OwnStatus,
  { request, pod }: Observed,
  { signal }: Context,
): Promise<void> {
  const write = (): Promise<unknown> =>
    withFaults('operator.status', () =>
      writeStatus(world.api, {
        resource: checkpointRequests,
        object: request,
        manager: fieldManagers.operator,
        owned: ownedStatus,
        status,
        onConflict: 'throw',
        signal,
      }),
    );
  const accepts = request.status?.podUID === undefined && status.podUID !== undefined;
  const changed = await (accepts ? acceptExclusively(world, request, signal, write) : write());
  if (!changed) return;
  const list = conditionEvents(request.status?.conditions, status.conditions);
  recordEvents(world, checkpointRequests, request, list, { resource: pods, object: pod });
}

async function act(
  world: Dependencies,
  effect: Effect,
  { request }: Observed,
  context: Context,
): Promise<void> {
  const { namespace, name, uid } = request.metadata;
  const { signal } = context;
  if (effect.type === 'DeleteRequest') {
    await withFaults('operator.delete-checkpoint', () =>
      world.api.delete(checkpointRequests, namespace, name, { uid, signal }),
    );
    return;
  }
  // Publishing may have made a newer version.
  const current = await world.find(checkpointRequests, namespace, name, signal);
  if (current?.metadata.uid !== uid) return;
  const present = effect.type === 'AddFinalizer';
  try {
    await setFinalizer(world, checkpointRequests, current, finalizers.images, present, context);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
