// SPDX-License-Identifier: Apache-2.0
// A MigrationRequest's reading and writing; what to do is decided in decide.ts.
import {
  annotations,
  fieldManagers,
  finalizers,
  isFinished,
  type MigrationRequest,
} from '../../../crds/src/index.ts';
import {
  checkpointRequests,
  proposeDecision,
  isAlreadyExists,
  migrationRequests,
  pods,
  restoreRequests,
  splitKey,
  withFaults,
  writeStatus,
  type Clock,
  type Context,
  type Parts,
} from '../../../kube/src/index.ts';
import { setFinalizer } from '../requests/finalizer.ts';
import { blackoutSeconds } from '../metrics.ts';
import { keepAddresses, networkNames, NetworksError } from '../networks/networks.ts';
import {
  acceptExclusively,
  competingKinds,
  competingRequests,
} from '../requests/competing-requests.ts';
import {
  createTargetPod,
  deletePod,
  labelTarget,
  releaseTarget,
  TargetRejectedError,
  deleteIfAborted,
} from '../target-pod/actions.ts';
import { targetPod, templateOf } from '../target-pod/manifest.ts';
import { recordEvents, conditionEvents } from '../requests/condition-events.ts';
import type { Dependencies } from '../requests/dependencies.ts';
import { decideMigration } from './decide.ts';
import { ownedStatus, type Effect, type Observed, type OwnStatus } from './types.ts';

export function migrationParts(
  world: Dependencies,
  clock: Clock,
): Parts<Observed, Effect, OwnStatus> {
  return {
    observe: (key, context) => observe(world, key, context),
    decide: decideMigration,
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
  const request = await world.find(migrationRequests, namespace, name, signal);
  if (!request) return undefined;
  const isNew = request.status?.source === undefined;
  const restoreName = request.status?.recovery?.restoreRequestName;
  const [sourcePod, target, others, checkpoints, restore] = await Promise.all([
    world.findPod(namespace, request.spec.podName, signal),
    world.findPod(namespace, request.status?.target?.podName, signal),
    isNew ? competingRequests(world, request, competingKinds, signal) : [],
    mayRecover(request) ? competingRequests(world, request, [checkpointRequests], signal) : [],
    restoreName === undefined
      ? undefined
      : world.find(restoreRequests, namespace, restoreName, signal),
  ]);
  const seen = { request, sourcePod, targetPod: target, others, checkpoints, restore };
  return { ...seen, nodes: world.nodeList(), load: world.load() };
}

/** Whether checkpoints of the pod have to be known. */
function mayRecover({ spec, status }: MigrationRequest): boolean {
  if (spec.onSourceLoss === 'Fail' || status?.decision?.outcome !== 'Aborted') return false;
  return status.recovery === undefined && !isFinished({ status });
}

async function publish(
  world: Dependencies,
  status: OwnStatus,
  { request, sourcePod, targetPod: target }: Observed,
  { signal }: Context,
): Promise<void> {
  const write = (): Promise<MigrationRequest | undefined> =>
    withFaults('operator.status', () =>
      writeStatus(world.api, {
        resource: migrationRequests,
        object: request,
        manager: fieldManagers.operator,
        owned: ownedStatus,
        status,
        onConflict: 'throw',
        signal,
      }),
    );
  const accepts = request.status?.source === undefined && status.source !== undefined;
  const changed = await (accepts ? acceptExclusively(world, request, signal, write) : write());
  if (!changed) return;
  const list = conditionEvents(request.status?.conditions, status.conditions);
  const pod = { resource: pods, object: target ?? sourcePod };
  recordEvents(world, migrationRequests, request, list, pod);
  tellRecovery(world, request, status);
  if (list.some((one) => one.reason === 'Moved') && status.report?.blackoutMs !== undefined) {
    blackoutSeconds.observe(status.report.blackoutMs / 1000);
  }
}

function tellRecovery(
  world: Dependencies,
  request: MigrationRequest,
  { recovery }: OwnStatus,
): void {
  if (!recovery || request.status?.recovery) return;
  const { checkpointName, restoreRequestName, message } = recovery;
  const about = { resource: migrationRequests, object: request };
  if (restoreRequestName === undefined) {
    const text = message ?? 'Nothing is restored.';
    world.events.record({ ...about, type: 'Warning', reason: 'NoCheckpoint', message: text });
    return;
  }
  const text = `RestoreRequest ${restoreRequestName} will make the pod anew from CheckpointRequest ${checkpointName}.`;
  world.events.record({ ...about, type: 'Normal', reason: 'RestoringCheckpoint', message: text });
}

async function act(
  world: Dependencies,
  clock: Clock,
  effect: Effect,
  observed: Observed,
  context: Context,
): Promise<void> {
  const { request } = observed;
  const { namespace } = request.metadata;
  switch (effect.type) {
    case 'AddFinalizer':
    case 'RemoveFinalizer': {
      // Publishing may have made a newer version.
      const current = await world.find(
        migrationRequests,
        namespace,
        request.metadata.name,
        context.signal,
      );
      if (current?.metadata.uid !== request.metadata.uid) return;
      const present = effect.type === 'AddFinalizer';
      return setFinalizer(world, migrationRequests, current, finalizers.active, present, context);
    }
    case 'CreateTarget':
      return createTarget(world, clock, effect, observed, context);
    case 'LabelTarget':
      if (observed.targetPod) await labelTarget(world, observed.targetPod, context);
      return;
    case 'DetachTarget':
      if (observed.targetPod) await releaseTarget(world, observed.targetPod, context);
      return;
    case 'DeleteSource': {
      const pod = { namespace, name: request.spec.podName, uid: effect.uid };
      return deletePod(world, pod, 'operator.delete-source', 0, context);
    }
    case 'DeleteLostSource': {
      // Never by force: only its kubelet can say that nothing of it runs.
      const pod = { namespace, name: request.spec.podName, uid: effect.uid };
      return deletePod(world, pod, 'operator.delete-lost-source', 1, context);
    }
    case 'CreateRestoreRequest':
      return createRestore(world, request, effect, context);
    case 'DeleteTarget': {
      const pod = { namespace, name: request.status?.target?.podName ?? '', uid: effect.uid };
      return deletePod(world, pod, 'operator.delete-target', effect.force ? 0 : 1, context);
    }
    case 'ProposeAbort':
      return abort(world, clock, request, effect, context);
  }
}

async function abort(
  world: Dependencies,
  clock: Clock,
  request: MigrationRequest,
  cause: { readonly reason: string; readonly message: string },
  { signal, log }: Context,
): Promise<void> {
  const decision = await withFaults('operator.abort', () =>
    proposeDecision(
      world.api,
      migrationRequests,
      request,
      { outcome: 'Aborted', by: 'operator', reason: cause.reason, message: cause.message },
      { signal, clock },
    ),
  );
  log.info({ proposed: cause.reason, stands: decision.outcome, by: decision.by }, 'decided');
}

async function createRestore(
  world: Dependencies,
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
      await world.api.create(restoreRequests, metadata.namespace, body, { signal });
    });
  } catch (error) {
    // The name is this request's own.
    if (!isAlreadyExists(error)) throw error;
  }
}

async function createTarget(
  world: Dependencies,
  clock: Clock,
  effect: Extract<Effect, { type: 'CreateTarget' }>,
  { request, sourcePod }: Observed,
  context: Context,
): Promise<void> {
  const { namespace, name, uid } = request.metadata;
  const { signal } = context;
  try {
    const source = await world.rawPod(namespace, request.spec.podName, signal);
    // A namesake has taken its place since: the next look at it will say so.
    if (source.metadata.uid !== sourcePod?.metadata.uid) return;
    const notes = source.metadata.annotations ?? {};
    const configs = await world.networkConfigs(networkNames(notes, namespace), signal);
    const manifest = targetPod(templateOf(source), {
      name: effect.podName,
      namespace,
      nodeName: effect.nodeName,
      requestUid: uid,
      marker: { key: 'migration', value: `${namespace}/${name}` },
      networks: keepAddresses(notes, namespace, configs),
    });
    await createTargetPod(world, request, effect.podName, manifest, context);
  } catch (error) {
    if (!(error instanceof TargetRejectedError || error instanceof NetworksError)) throw error;
    const cause = { reason: 'TargetRejected', message: error.message };
    await abort(world, clock, await fresh(world, request, signal), cause, context);
    return;
  }
  await deleteIfAborted(world, migrationRequests, request, effect.podName, context);
}

async function fresh(
  world: Dependencies,
  request: MigrationRequest,
  signal: AbortSignal,
): Promise<MigrationRequest> {
  const { namespace, name } = request.metadata;
  return (await world.find(migrationRequests, namespace, name, signal)) ?? request;
}
