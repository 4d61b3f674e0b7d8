// SPDX-License-Identifier: Apache-2.0
// A CheckpointRequest's reading and writing; what to do is decided in decide.ts.
import {
  annotations,
  finalizers,
  isFinished,
  type CheckpointRequest,
  type RestoreRequest,
} from '../../../crds/src/index.ts';
import {
  checkpointRequests,
  listParsed,
  restoreRequests,
  splitKey,
  withFaults,
  type Context,
  type Parts,
  type Pod,
} from '../../../kube/src/index.ts';
import { keepAddresses, networkNames, NetworksError } from '../networks/networks.ts';
import { competingRequests, seenCompeting } from '../requests/competing-requests.ts';
import type { Dependencies } from '../requests/dependencies.ts';
import { setFinalizer } from '../requests/finalizer.ts';
import { publishStatus } from '../requests/publish.ts';
import { readVolumeFacts } from '../requests/volume-facts.ts';
import type { Refusal } from '../refusal.ts';
import { templateOf, type Template } from '../target-pod/manifest.ts';
import { newestFirst, storedOf } from '../requests/newest-first.ts';
import { decideCheckpoint } from './decide.ts';
import { ownedStatus, type Effect, type Observed, type OwnStatus } from './types.ts';

export function checkpointParts(dependencies: Dependencies): Parts<Observed, Effect, OwnStatus> {
  return {
    observe: (key, context) => observe(dependencies, key, context),
    decide: decideCheckpoint,
    publish: (status, observed, context) => publish(dependencies, status, observed, context),
    act: (effect, observed, context) => act(dependencies, effect, observed, context),
  };
}

async function observe(
  dependencies: Dependencies,
  key: string,
  { signal }: Context,
): Promise<Observed | undefined> {
  const { namespace, name } = splitKey(key);
  const read = await dependencies.find(checkpointRequests, namespace, name, signal);
  if (!read) return undefined;
  const request = dependencies.adopt(read);
  const pod = await dependencies.findPod(namespace, request.spec.podName, signal);
  const isNew = request.status?.podUID === undefined;
  const others = isNew ? await seenCompeting(dependencies, request, signal) : [];
  const volumes = isNew ? await readVolumeFacts(dependencies, pod, signal) : undefined;
  const template = isNew && pod ? await readTemplate(dependencies, pod, signal) : undefined;
  const inUse =
    mayExpire(request) && isFinished(request)
      ? await isRestored(dependencies, request, signal)
      : false;
  const newer = await countNewer(dependencies, request, signal);
  const nodes = dependencies.nodeList();
  const nodeTime = dependencies.nodeTime(pod?.spec.nodeName);
  const finished = dependencies.finished(request);
  return { request, pod, nodeTime, volumes, template, others, nodes, finished, inUse, newer };
}

const mayExpire = ({ spec }: CheckpointRequest): boolean =>
  spec.retention !== undefined || spec.ttlSecondsAfterFinished !== undefined;

/** Checkpoints of the same pod that were taken after this one; 0 where spec.retention.keepLast is not set. */
async function countNewer(
  dependencies: Dependencies,
  request: CheckpointRequest,
  signal: AbortSignal,
): Promise<number> {
  if (request.spec.retention?.keepLast === undefined || !isFinished(request)) return 0;
  const others = await competingRequests(dependencies, request, [checkpointRequests], signal);
  const stored = storedOf(request.status?.podUID, others);
  return newestFirst([...stored, request]).indexOf(request);
}

/** Whether a RestoreRequest that has not finished reads the images. */
async function isRestored(
  dependencies: Dependencies,
  { metadata }: CheckpointRequest,
  signal: AbortSignal,
): Promise<boolean> {
  const { namespace, name } = metadata;
  const ofIt = { namespace, fieldSelector: `spec.checkpointName=${name}`, signal };
  const isActive = (one: RestoreRequest): boolean => !isFinished(one);
  return (await listParsed(dependencies.api, restoreRequests, ofIt, isActive)).length > 0;
}

/** The pod's description; its networks annotation asks for the addresses that the pod has now. */
async function readTemplate(
  dependencies: Dependencies,
  { metadata }: Pod,
  signal: AbortSignal,
): Promise<Template | Refusal> {
  const { namespace, name, annotations: podAnnotations } = metadata;
  const template = templateOf(await dependencies.rawPod(namespace, name, signal));
  try {
    const names = networkNames(podAnnotations, namespace);
    const configs = await dependencies.networkConfigs(names, signal);
    const networks = keepAddresses(podAnnotations, namespace, configs);
    if (networks !== undefined) template.metadata.annotations[annotations.networks] = networks;
    return template;
  } catch (error) {
    if (!(error instanceof NetworksError)) throw error;
    return { reason: 'UnsupportedPod', message: error.message };
  }
}

async function publish(
  dependencies: Dependencies,
  status: OwnStatus,
  { request, pod }: Observed,
  context: Context,
): Promise<void> {
  const isAccepted = request.status?.podUID === undefined && status.podUID !== undefined;
  await publishStatus(
    dependencies,
    {
      resource: checkpointRequests,
      request,
      owned: ownedStatus,
      status,
      pod,
      accepts: isAccepted ? request : undefined,
    },
    context,
  );
}

async function act(
  dependencies: Dependencies,
  effect: Effect,
  { request }: Observed,
  context: Context,
): Promise<void> {
  const { namespace, name, uid } = request.metadata;
  if (effect.type === 'DeleteRequest') {
    await withFaults('operator.delete-request', () =>
      dependencies.api.delete(checkpointRequests, namespace, name, {
        uid,
        signal: context.signal,
      }),
    );
    return;
  }
  const isPresent = effect.type === 'AddFinalizer';
  const { images } = finalizers;
  await setFinalizer(dependencies, checkpointRequests, request, images, isPresent, context);
}
