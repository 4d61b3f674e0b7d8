// SPDX-License-Identifier: Apache-2.0
// The manifest of a move's target, made from the source as it is now; and what the API server would make of it, for a dry run.
import { annotations, isFinished, labels, type MigrationRequest } from '../../../crds/src/index.ts';
import { ApiError, isNotFound, messageOf, pods, Pod } from '../../../kube/src/index.ts';
import { hostOf } from '../host-pins.ts';
import { askedFor, keepAddresses, networkNames, NetworksError } from '../networks/networks.ts';
import { nodesKeeping } from '../networks/pod-address.ts';
import type { Dependencies } from '../requests/dependencies.ts';
import { someOf } from '../requests/message.ts';
import { TargetRejectedError } from '../requests/target-calls.ts';
import { targetName, targetPod, templateOf } from '../target-pod/manifest.ts';
import type { Effect, TargetTrial } from './types.ts';

type Wanted = Omit<Extract<Effect, { type: 'CreateTarget' }>, 'type'>;

/**
 * @returns undefined: the source is gone, or another pod has its name
 * @throws TargetRejectedError, NetworksError
 */
export async function targetManifest(
  dependencies: Dependencies,
  { metadata, spec }: MigrationRequest,
  sourcePod: Pod | undefined,
  { nodeNames, podName, addresses }: Wanted,
  signal: AbortSignal,
): Promise<object | undefined> {
  const { namespace, name, uid } = metadata;
  const source = await dependencies.rawPod(namespace, spec.podName, signal);
  if (source.metadata.uid !== sourcePod?.metadata.uid) return undefined;
  const nodes = dependencies.nodeList();
  const keeping = addresses && nodesKeeping(nodes, nodeNames);
  if (addresses && !keeping) {
    throw new TargetRejectedError(
      `The pod was to keep its address ${addresses.join(' and ')}, and none of the chosen nodes lets it any more: ${someOf(nodeNames)}. They are gone, or lack the annotation ${annotations.podNetwork}. Create a new request.`,
    );
  }
  const podAnnotations = source.metadata.annotations ?? {};
  const names = networkNames(podAnnotations, namespace);
  const [configs, namespaceUid] = await Promise.all([
    dependencies.networkConfigs(names, signal),
    dependencies.namespaceUid(namespace, signal),
  ]);
  const networks = keepAddresses(podAnnotations, namespace, configs);
  return targetPod(templateOf(source), {
    name: podName,
    namespace,
    nodeNames: keeping?.nodeNames ?? nodeNames,
    source: hostOf(nodes, sourcePod.spec.nodeName),
    requestUid: uid,
    namespaceUid,
    marker: { key: 'migration', value: `${namespace}/${name}` },
    networks,
    fabricIps: askedFor(networks),
    kept: keeping && { network: keeping.network, addresses: addresses ?? [] },
  });
}

/** The scheduler has no say in a trial, so that a few will do. */
const mostNodes = 4;

/**
 * For a dry run: what the API server, with its webhooks, policies and quotas, would make of the target. It stores nothing.
 * @returns undefined: there is nothing to try
 */
export async function tryTarget(
  dependencies: Dependencies,
  request: MigrationRequest,
  source: Pod | undefined,
  signal: AbortSignal,
): Promise<TargetTrial | undefined> {
  const { spec, status, metadata } = request;
  const isBegun = status?.source !== undefined || isFinished(request);
  if (!spec.dryRun || isBegun || !source?.spec.nodeName) return undefined;
  const others = dependencies
    .nodeList()
    .filter(({ metadata: { name, labels: own } }) => {
      return name !== source.spec.nodeName && own[labels.driverAbi] !== undefined;
    })
    .map((one) => one.metadata.name);
  const nodeNames = spec.targetNodeName ? [spec.targetNodeName] : others.slice(0, mostNodes);
  if (nodeNames.length === 0) return undefined;
  const podName = targetName(source, metadata.uid);
  let body: object | undefined;
  try {
    body = await targetManifest(dependencies, request, source, { nodeNames, podName }, signal);
  } catch (error) {
    if (error instanceof NetworksError) return { rejection: error.message };
    if (isNotFound(error)) return undefined;
    throw error;
  }
  return body && createDry(dependencies, metadata.namespace, body, signal);
}

async function createDry(
  { api }: Dependencies,
  namespace: string,
  body: object,
  signal: AbortSignal,
): Promise<TargetTrial> {
  try {
    return { target: Pod.parse(await api.create(pods, namespace, body, { dryRun: true, signal })) };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    // What is refused and a webhook that takes no part in dry runs are both a 400.
    const isUnsupported = messageOf(error).includes('does not support dry run');
    const isRejection = [400, 403, 422].includes(error.status) && !isUnsupported;
    return isRejection ? { rejection: messageOf(error) } : { untried: messageOf(error) };
  }
}
