// SPDX-License-Identifier: Apache-2.0
// A RestoreRequest's reading and writing; what to do is decided in decide.ts.
import {
  annotations,
  finalizers,
  isFinished,
  isStored,
  type CheckpointRequest,
  type RestoreRequest,
} from '../../../crds/src/index.ts';
import {
  checkpointRequests,
  keyOf,
  NOT_ENDED,
  pods,
  restoreRequests,
  splitKey,
  visit,
  type Context,
  type Parts,
  type Pod,
} from '../../../kube/src/index.ts';
import { addressOwners, devicesOf, planAddresses } from '../networks/addresses.ts';
import { askedFor, networkNames, NetworksError } from '../networks/networks.ts';
import { hostOf } from '../host-pins.ts';
import { isHandingOver } from '../requests/blackout-looks.ts';
import type { Dependencies } from '../requests/dependencies.ts';
import { publishStatus } from '../requests/publish.ts';
import { actOnHandover, createTarget } from '../requests/target-effects.ts';
import { watchedFirst } from '../requests/watched-first.ts';
import { targetName, targetPod, type Template } from '../target-pod/manifest.ts';
import { decideRestore } from './decide.ts';
import { Identities } from './identities.ts';
import {
  ownedStatus,
  type Effect,
  type Observed,
  type OwnStatus,
  type PodIdentity,
} from './types.ts';

export function restoreParts(dependencies: Dependencies): Parts<Observed, Effect, OwnStatus> {
  const identities = new Identities(() => dependencies.clock.now());
  return {
    ...watchedFirst(dependencies, {
      seen: (key) => handedOver(dependencies, key),
      read: (key, context) => observe(dependencies, identities, key, context),
      decide: decideRestore,
    }),
    publish: async (status, { request, targetPod: pod }, context) => {
      const update = { resource: restoreRequests, request, owned: ownedStatus, status, pod };
      await publishStatus(dependencies, update, context);
    },
    act: (effect, observed, context) => act(dependencies, identities, effect, observed, context),
  };
}

/** A request in its blackout as watches have brought it; undefined for any other. */
function handedOver(dependencies: Dependencies, key: string): Observed | undefined {
  const { watched } = dependencies;
  const read = watched?.restores.get(key);
  if (!read || !isHandingOver(read)) return undefined;
  const request = dependencies.adopt(read);
  const { namespace } = request.metadata;
  const checkpoint = watched?.checkpoints.get(`${namespace}/${request.spec.checkpointName}`);
  const podName = podNameOf(request, checkpoint);
  const pod = watched?.pods.get(`${namespace}/${podName}`);
  return observedOf(dependencies, { request, checkpoint, podName }, pod, unusedIdentity);
}

function observedOf(
  dependencies: Dependencies,
  of: Pick<Observed, 'request' | 'checkpoint' | 'podName'>,
  pod: Pod | undefined,
  identity: Observed['identity'],
): Observed {
  const unschedulableMs = dependencies.unschedulableMs(of.request, pod);
  const memory = dependencies.memoryFor(of.request);
  const cluster = { nodes: dependencies.nodeList(), load: dependencies.moves.arriving, memory };
  const finished = dependencies.finished(of.request);
  return { ...of, targetPod: pod, unschedulableMs, finished, identity, ...cluster };
}

async function observe(
  dependencies: Dependencies,
  identities: Identities,
  key: string,
  { signal }: Context,
): Promise<Observed | undefined> {
  const { namespace, name } = splitKey(key);
  const read = await dependencies.find(restoreRequests, namespace, name, signal);
  if (!read) {
    identities.forget(key);
    return undefined;
  }
  const request = dependencies.adopt(read);
  const readAt = dependencies.clock.now();
  dependencies.looks.looking(request);
  const { checkpointName } = request.spec;
  const checkpoint = await dependencies.find(checkpointRequests, namespace, checkpointName, signal);
  const podName = podNameOf(request, checkpoint);
  const pod = await dependencies.findPod(namespace, podName, signal);
  const { uid } = request.metadata;
  const look = (): Promise<Observed['identity']> =>
    readIdentity(dependencies, request, checkpoint, signal);
  const isNeeded = pod === undefined && mayCreate(request, checkpoint);
  if (!isNeeded) identities.forget(key);
  const identity = isNeeded ? await identities.of(key, uid, look) : unusedIdentity;
  return { ...observedOf(dependencies, { request, checkpoint, podName }, pod, identity), readAt };
}

/** Whether what `decide` plans next may be to create the target. */
function mayCreate(request: RestoreRequest, checkpoint: CheckpointRequest | undefined): boolean {
  const { metadata, status } = request;
  if (isFinished(request) || status?.decision || status?.target?.podUID !== undefined) return false;
  if (!metadata.finalizers.includes(finalizers.active)) return false;
  if (checkpoint?.status?.podTemplate === undefined) return false;
  return status?.source !== undefined || isStored(checkpoint);
}

/** Of a request that creates no pod now: every pod of the cluster is looked at only right before one is created. */
const unusedIdentity: PodIdentity = { keepsDevice: true };

async function readIdentity(
  dependencies: Dependencies,
  { metadata, spec }: RestoreRequest,
  checkpoint: CheckpointRequest | undefined,
  signal: AbortSignal,
): Promise<Observed['identity']> {
  const { namespace, uid } = metadata;
  const source = checkpoint?.status?.podTemplate?.metadata?.annotations ?? {};
  const wanted = spec.addresses ?? [];
  try {
    const configs = await dependencies.networkConfigs(networkNames(source, namespace), signal);
    const device = source[annotations.rdmaDevice];
    let keepsDevice = device !== undefined;
    const owners = new Map<string, string>();
    const visitor = (pod: Pod): void => {
      for (const [address, name] of addressOwners([pod], uid)) owners.set(address, name);
      if (device !== undefined && devicesOf([pod], uid).has(device)) keepsDevice = false;
    };
    const isAsking = device !== undefined || source[annotations.networks] !== undefined;
    // A pod that has ended has neither addresses nor a device.
    const selection = { fieldSelector: NOT_ENDED, signal };
    if (isAsking) await visit(dependencies.api, pods, selection, visitor);
    const plan = planAddresses({ source, namespace, wanted, owners, configs });
    return 'reason' in plan ? plan : { ...plan, keepsDevice };
  } catch (error) {
    if (!(error instanceof NetworksError)) throw error;
    return { reason: 'UnsupportedPod', message: error.message };
  }
}

function podNameOf(request: RestoreRequest, checkpoint: CheckpointRequest | undefined): string {
  const { spec, status, metadata } = request;
  const old = { metadata: { name: checkpoint?.spec.podName ?? metadata.name } };
  return status?.target?.podName ?? spec.podName ?? targetName(old, metadata.uid);
}

async function act(
  dependencies: Dependencies,
  identities: Identities,
  effect: Effect,
  observed: Observed,
  context: Context,
): Promise<void> {
  if (effect.type !== 'CreateTarget') {
    return actOnHandover(dependencies, restoreRequests, effect, observed, context);
  }
  const { request, podName } = observed;
  const manifest = async (): Promise<object | undefined> => {
    const { namespace } = request.metadata;
    const namespaceUid = await dependencies.namespaceUid(namespace, context.signal);
    return manifestOf(effect, observed, namespaceUid);
  };
  await identities.give(keyOf(request), effect.identity, () =>
    createTarget(dependencies, restoreRequests, request, podName, manifest, context),
  );
}

/** @returns undefined if the checkpoint is gone. */
function manifestOf(
  { nodeNames, identity }: Extract<Effect, { type: 'CreateTarget' }>,
  { request, checkpoint, podName, nodes }: Observed,
  namespaceUid: string,
): object | undefined {
  const { namespace, name, uid } = request.metadata;
  const saved = checkpoint?.status?.podTemplate;
  if (!saved) return undefined;
  const { [annotations.rdmaDevice]: device, ...others } = saved.metadata?.annotations ?? {};
  const keepsDevice = identity.keepsDevice && device !== undefined;
  const template: Template = {
    metadata: {
      labels: saved.metadata?.labels ?? {},
      annotations: keepsDevice ? { ...others, [annotations.rdmaDevice]: device } : others,
    },
    spec: saved.spec,
  };
  return targetPod(template, {
    name: podName,
    namespace,
    nodeNames,
    source: hostOf(nodes, checkpoint.status?.nodeName ?? ''),
    requestUid: uid,
    namespaceUid,
    marker: { key: 'restore', value: `${namespace}/${name}` },
    networks: identity.networks,
    fabricIps: askedFor(identity.networks),
  });
}
