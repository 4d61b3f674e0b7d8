// SPDX-License-Identifier: Apache-2.0
// A MigrationRequest's reading and writing; what to do is decided in decide.ts.
import {
  annotations,
  applied,
  isFinished,
  type MigrationPolicy,
  type MigrationRequest,
} from '../../../crds/src/index.ts';
import {
  checkpointRequests,
  isAlreadyExists,
  migrationRequests,
  restoreRequests,
  splitKey,
  withFaults,
  type Context,
  type Parts,
  type Pod,
} from '../../../kube/src/index.ts';
import { blackoutSeconds } from '../metrics.ts';
import { networkNames, NetworksError } from '../networks/networks.ts';
import { toOf, type PolicyLimits } from '../moves/limits.ts';
import { queuedSeldom } from '../requests/queued-seldom.ts';
import { isHandingOver } from '../requests/blackout-looks.ts';
import { ownTarget } from '../requests/handover.ts';
import { competingRequests, seenCompeting } from '../requests/competing-requests.ts';
import type { Dependencies } from '../requests/dependencies.ts';
import { publishStatus } from '../requests/publish.ts';
import { actOnHandover, createTarget } from '../requests/target-effects.ts';
import { deletePod } from '../requests/target-calls.ts';
import { readVolumeFacts } from '../requests/volume-facts.ts';
import { watchedFirst } from '../requests/watched-first.ts';
import { isTargetOf } from '../target-pod/ownership.ts';
import {
  attach,
  detach,
  readController,
  release,
  retire,
  undoIfAlone,
} from './controller-calls.ts';
import { awaitsLateEnd, isOrphaned, oldPod } from './controller-steps.ts';
import { decideMigration } from './decide.ts';
import {
  createSecondMove,
  mustTryName,
  readFirstMove,
  readNamedPod,
  readSecondMove,
  tryName,
} from './name-calls.ts';
import { readEarlyServices } from './early-services.ts';
import { returnOf } from './name-steps.ts';
import { targetManifest, tryTarget } from './target-manifest.ts';
import { hasRoom, isElsewhere, isReserving } from './target-memory.ts';
import {
  ownedStatus,
  type ControllerEffect,
  type Effect,
  type Observed,
  type OwnStatus,
} from './types.ts';

export function migrationParts(dependencies: Dependencies): Parts<Observed, Effect, OwnStatus> {
  const looks = watchedFirst(dependencies, {
    seen: (key) => handedOver(dependencies, key),
    read: (key, context) => observe(dependencies, key, context),
    decide: decideMigration,
  });
  return {
    ...queuedSeldom(dependencies, looks),
    publish: (status, observed, context) => publish(dependencies, status, observed, context),
    act: (effect, observed, context) => act(dependencies, effect, observed, context),
  };
}

/** A request in its blackout as watches have brought it; undefined for any other. */
function handedOver(dependencies: Dependencies, key: string): Observed | undefined {
  const { watched } = dependencies;
  const read = watched?.migrations.get(key);
  if (!read || !isHandingOver(read)) return undefined;
  const request = dependencies.adopt(read);
  const pod = (name = ''): Pod | undefined =>
    watched?.pods.get(`${request.metadata.namespace}/${name}`);
  const [source, target] = [pod(request.spec.podName), pod(request.status?.target?.podName)];
  // What is read of others matters before the blackout and after the resume only.
  const others = { others: [], checkpoints: [], restore: undefined, controller: undefined };
  const facts = { policy: undefined, ...others };
  return { request, ...facts, ...situationOf(dependencies, request, source, target) };
}

/**
 * The request's pods, and what the caches say of the nodes and of other moves.
 * @param policy the one by which the request waits, {}: none; left out: that of its status
 */
function situationOf(
  dependencies: Dependencies,
  request: MigrationRequest,
  source: Pod | undefined,
  target: Pod | undefined,
  policy?: Pick<PolicyLimits, 'queuePriority'>,
) {
  const isOwn = target !== undefined && isTargetOf(target, request);
  dependencies.moves.nominate(request.metadata.uid, isOwn ? target.status.nominatedNodeName : '');
  const moves = dependencies.moves.look(request, policy);
  const finished = dependencies.finished(request);
  return {
    ...{ sourcePod: source, nodeTime: dependencies.nodeTime(source?.spec.nodeName) },
    ...{ targetPod: target, unschedulableMs: dependencies.unschedulableMs(request, target) },
    ...{ finished, moves, nodes: dependencies.nodeList(), load: moves.underWay.into },
    memory: dependencies.memoryFor(request),
  };
}

async function observe(
  dependencies: Dependencies,
  key: string,
  { signal }: Context,
): Promise<Observed | undefined> {
  const { namespace, name } = splitKey(key);
  const read = await dependencies.find(migrationRequests, namespace, name, signal);
  if (!read) return undefined;
  const request = dependencies.adopt(read);
  const readAt = dependencies.clock.now();
  dependencies.looks.looking(request);
  const isNew = request.status?.source === undefined;
  const restoreName = request.status?.recovery?.restoreRequestName;
  const owner = request.status?.decision && request.status.source?.controller;
  const [firstMove, secondMove, namedPod, source, target, others, checkpoints, restore] =
    await Promise.all([
      readFirstMove(dependencies, request, signal),
      readSecondMove(dependencies, request, signal),
      readNamedPod(dependencies, request, signal),
      dependencies.findPod(namespace, request.spec.podName, signal),
      dependencies.findPod(namespace, request.status?.target?.podName, signal),
      isNew ? seenCompeting(dependencies, request, signal) : [],
      mayRecover(request)
        ? competingRequests(dependencies, request, [checkpointRequests], signal)
        : [],
      restoreName === undefined
        ? undefined
        : dependencies.find(restoreRequests, namespace, restoreName, signal),
    ]);
  const controller =
    owner === undefined || (isFinished(request) && !awaitsLateEnd(request))
      ? undefined
      : await readController(dependencies, namespace, owner, [target, source], signal);
  const facts = await factsOf(dependencies, request, source, signal);
  const second = { secondMove, secondFinished: secondMove && dependencies.finished(secondMove) };
  const requests = { firstMove, namedPod, ...second, others, checkpoints, restore, controller };
  // That of its status may be gone by now, or select the pod no more.
  const policy = isNew ? policyOf(facts.policy) : undefined;
  const situation = situationOf(dependencies, request, source, target, policy);
  return { request, readAt, ...facts, ...requests, ...situation };
}

const policyOf = (policy: MigrationPolicy | undefined): Pick<PolicyLimits, 'queuePriority'> =>
  policy ? applied(policy) : {};

/** What has to be known of the source now, besides its object. */
async function factsOf(
  dependencies: Dependencies,
  request: MigrationRequest,
  source: Pod | undefined,
  signal: AbortSignal,
): Promise<
  Pick<Observed, 'policy' | 'volumes' | 'networks' | 'nameTrial' | 'earlyServices' | 'targetTrial'>
> {
  const isNew = request.status?.source === undefined;
  const choosesNode = source !== undefined && mayChooseNode(request);
  const isTried = mustTryName(request, source);
  return {
    earlyServices: await readEarlyServices(dependencies.api, request, source, signal),
    policy: choosesNode ? await dependencies.policyFor(source, signal) : undefined,
    volumes: isNew ? await readVolumeFacts(dependencies, source, signal) : undefined,
    networks: isNew && source ? await configsOf(dependencies, source, signal) : undefined,
    targetTrial: await tryTarget(dependencies, request, source, signal),
    nameTrial: isTried ? await tryName(dependencies, request, signal) : undefined,
  };
}

/** Of the pod's further networks. Undefined for an annotation that cannot be read: the target's creation says so. */
async function configsOf(
  dependencies: Dependencies,
  { metadata }: Pod,
  signal: AbortSignal,
): Promise<Map<string, string> | undefined> {
  try {
    const names = networkNames(metadata.annotations, metadata.namespace);
    return await dependencies.networkConfigs(names, signal);
  } catch (error) {
    if (error instanceof NetworksError) return undefined;
    throw error;
  }
}

/** Whether a node may have to be found: until the pod is about to be held. */
const mayChooseNode = ({ status }: MigrationRequest): boolean =>
  status?.decision === undefined && status?.deadlines?.blackout === undefined;

/** Whether checkpoints of the pod have to be known. */
function mayRecover({ spec, status }: MigrationRequest): boolean {
  if (spec.onSourceLoss === 'Fail' || status?.decision?.outcome !== 'Aborted') return false;
  return status.recovery === undefined && !isFinished({ status });
}

async function publish(
  dependencies: Dependencies,
  status: OwnStatus,
  observed: Observed,
  context: Context,
): Promise<void> {
  const { request, sourcePod, targetPod: target } = observed;
  const { source } = status;
  const isAccepted = request.status?.source === undefined && !request.spec.dryRun;
  const accepted = isAccepted ? source : undefined;
  const update = {
    resource: migrationRequests,
    request,
    owned: ownedStatus,
    status,
    pod: target ?? sourcePod,
    accepts: accepted && request,
  };
  const write = (): Promise<boolean> => publishStatus(dependencies, update, context);
  const { policy } = status;
  const move = { from: source?.nodeName ?? '', ...toOf({ target: status.target }), policy };
  // A second move has its turn with the first one.
  const waitsItsTurn = accepted !== undefined && accepted.standsInFor === undefined;
  const back = returnOf(request, target, status.secondMove);
  const turn = (): Promise<boolean> => {
    if (waitsItsTurn) return dependencies.moves.accept(request, move, write);
    if (back) return dependencies.moves.accept(request, back, write);
    if (isElsewhere(request, status)) return dependencies.moves.redirect(request, move, write);
    if (!isReserving(request, status)) return write();
    return dependencies.moves.reserve(request, move, () => hasRoom(observed, status), write);
  };
  const isChanged = await turn();
  if (!isChanged) return;
  recordRecovery(dependencies, request, status);
  if (!isFinished(request) && hasMoved(status) && status.report?.blackoutMs !== undefined) {
    blackoutSeconds.observe(status.report.blackoutMs / 1000);
  }
}

const hasMoved = ({ conditions }: OwnStatus): boolean =>
  conditions?.some((one) => one.type === 'Succeeded' && one.status === 'True') ?? false;

/** The event for the user of what happens to a lost source; recorded with the first status that says so. */
function recordRecovery(
  { events }: Dependencies,
  request: MigrationRequest,
  { recovery }: OwnStatus,
): void {
  if (!recovery || request.status?.recovery) return;
  const { checkpointName, restoreRequestName, message } = recovery;
  const about = { resource: migrationRequests, object: request };
  if (restoreRequestName === undefined) {
    const text = message ?? 'Nothing is restored.';
    events.record({ ...about, type: 'Warning', reason: 'NoCheckpoint', message: text });
    return;
  }
  const text = `The source is lost. RestoreRequest ${restoreRequestName} will restore it from CheckpointRequest ${checkpointName}.`;
  events.record({ ...about, type: 'Normal', reason: 'RestoringCheckpoint', message: text });
}

async function act(
  dependencies: Dependencies,
  effect: Effect,
  observed: Observed,
  context: Context,
): Promise<void> {
  const { request } = observed;
  const { namespace } = request.metadata;
  switch (effect.type) {
    case 'CreateTarget':
      return createFromSource(dependencies, effect, observed, context);
    case 'DeleteSource': {
      const pod = { namespace, name: request.spec.podName, uid: effect.uid };
      return deletePod(dependencies, pod, 'operator.delete-source', 0, context);
    }
    case 'AttachTarget':
    case 'DetachTarget':
    case 'RetireSource':
    case 'AttachSource':
    case 'DetachSource':
      return actOnController(dependencies, effect, observed, context);
    case 'EndSource': {
      const pod = { namespace, name: request.spec.podName, uid: effect.uid };
      return deletePod(dependencies, pod, 'operator.end-source', undefined, context);
    }
    // The next two never by force: only its kubelet can say that nothing of it runs.
    case 'DeleteLostSource': {
      const pod = { namespace, name: request.spec.podName, uid: effect.uid };
      return deletePod(dependencies, pod, 'operator.delete-lost-source', 1, context);
    }
    case 'DeleteLanding': {
      const pod = { namespace, name: request.status?.target?.podName ?? '', uid: effect.uid };
      return deletePod(dependencies, pod, 'operator.delete-landing', undefined, context);
    }
    case 'ReleaseLanding':
      return release(dependencies, ownTarget(observed), 'operator.release-landing', context);
    case 'CreateSecondMove':
      return createSecondMove(dependencies, effect, observed, context);
    case 'CreateRestoreRequest':
      return createRestoreRequest(dependencies, request, effect, context);
    default:
      return actOnHandover(dependencies, migrationRequests, effect, observed, context);
  }
}

async function actOnController(
  dependencies: Dependencies,
  { type }: Exclude<ControllerEffect, { type: 'EndSource' }>,
  observed: Observed,
  context: Context,
): Promise<void> {
  const [source, target] = [oldPod(observed), ownTarget(observed)];
  const pod = type.endsWith('Target') ? target : source;
  const controller = observed.request.status?.source?.controller;
  if (!pod || !controller) return;
  switch (type) {
    case 'AttachTarget':
      return attach(dependencies, pod, controller, 'operator.attach-target', context);
    case 'DetachTarget':
      return detach(dependencies, pod, source, 'operator.detach-target', context);
    case 'DetachSource':
      await detach(dependencies, pod, target, 'operator.detach-source', context);
      return undoIfAlone(dependencies, pod, target, controller, context);
    case 'AttachSource':
      return isOrphaned(observed)
        ? release(dependencies, pod, 'operator.attach-source', context)
        : attach(dependencies, pod, controller, 'operator.attach-source', context);
    case 'RetireSource':
      return retire(dependencies, pod, context);
  }
}

async function createRestoreRequest(
  { api }: Dependencies,
  { metadata, spec }: MigrationRequest,
  effect: Extract<Effect, { type: 'CreateRestoreRequest' }>,
  { signal }: Context,
): Promise<void> {
  const { name, checkpointName } = effect;
  const body = {
    metadata: { name, annotations: { [annotations.requestUid]: metadata.uid } },
    spec: { checkpointName, podName: spec.podName },
  };
  try {
    await withFaults('operator.create-restore', async () => {
      await api.create(restoreRequests, metadata.namespace, body, { signal });
    });
  } catch (error) {
    // The name is derived from this request's UID: an earlier run has created it.
    if (!isAlreadyExists(error)) throw error;
  }
}

async function createFromSource(
  dependencies: Dependencies,
  wanted: Extract<Effect, { type: 'CreateTarget' }>,
  { request, sourcePod }: Observed,
  context: Context,
): Promise<void> {
  const manifest = (): Promise<object | undefined> =>
    targetManifest(dependencies, request, sourcePod, wanted, context.signal);
  await createTarget(dependencies, migrationRequests, request, wanted.podName, manifest, context);
}
