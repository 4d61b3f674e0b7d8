// SPDX-License-Identifier: Apache-2.0
// What the two moves of a pod with a fixed name read and write beside those of any other (docs/adr/0025). Idempotent.
import { annotations, isFinished, type MigrationRequest } from '../../../crds/src/index.ts';
import {
  ApiError,
  isAlreadyExists,
  isNotFound,
  messageOf,
  migrationRequests,
  pods,
  splitKey,
  withFaults,
  type Context,
  type Pod,
} from '../../../kube/src/index.ts';
import { isPrepared } from '../requests/deadlines.ts';
import type { Dependencies } from '../requests/dependencies.ts';
import { templateOf } from '../target-pod/manifest.ts';
import { firstMoveOf, isFirstMove, isLandingMove, nameOf } from './landing.ts';
import type { Effect, Observed } from './types.ts';

/** An operator that was away for so long still finds out. */
const leastTtlSeconds = 3600;

/** What the first move has seen of their controller matters until the second has ended. */
const isDecidedSecond = ({ status }: MigrationRequest): boolean =>
  status?.decision !== undefined &&
  status.source?.standsInFor !== undefined &&
  !isFinished({ status });

/** The request that made the pod that this one is to move on, while it matters. */
export async function readFirstMove(
  dependencies: Dependencies,
  request: MigrationRequest,
  signal: AbortSignal,
): Promise<MigrationRequest | undefined> {
  if (request.status?.source !== undefined && !isDecidedSecond(request)) return undefined;
  const key = firstMoveOf(request);
  if (key === undefined) return undefined;
  const { namespace, name } = splitKey(key);
  return dependencies.find(migrationRequests, namespace, name, signal);
}

/** Of a landing pod that has moved to another one: whichever pod has the name now that it is to get next. */
export async function readNamedPod(
  dependencies: Dependencies,
  request: MigrationRequest,
  signal: AbortSignal,
): Promise<Pod | undefined> {
  if (!isDecidedSecond(request) || !isLandingMove(request)) return undefined;
  return dependencies.findPod(request.metadata.namespace, nameOf(request), signal);
}

/** The request that moves the landing pod on. One of that name that somebody else has made is none. */
export async function readSecondMove(
  dependencies: Dependencies,
  { metadata, status }: MigrationRequest,
  signal: AbortSignal,
): Promise<MigrationRequest | undefined> {
  const name = status?.secondMove?.requestName;
  if (name === undefined) return undefined;
  const found = await dependencies.find(migrationRequests, metadata.namespace, name, signal);
  const isOurs = found?.metadata.annotations[annotations.requestUid] === metadata.uid;
  return isOurs ? found : undefined;
}

/** Whether it matters now if the name is reserved: before the blackout, and before the source's pod goes. */
export function mustTryName(request: MigrationRequest, source: Pod | undefined): boolean {
  if (!isFirstMove(request) || isFinished(request)) return false;
  const { decision, deadlines, source: placed } = request.status ?? {};
  if (source?.metadata.uid !== placed?.podUID) return false;
  if (decision) return decision.outcome === 'Committed';
  return isPrepared(request) && deadlines?.blackout === undefined;
}

/**
 * Asks the API server what it would do with a pod of the source's name, as the source is, that has none of the marks of a
 * target. The pod's own object is still there, so nothing but the policy on names answers before `AlreadyExists`.
 * @returns `reserved`, or what it answers instead
 */
export async function tryName(
  dependencies: Dependencies,
  { metadata, spec }: MigrationRequest,
  signal: AbortSignal,
): Promise<string> {
  const { namespace } = metadata;
  try {
    const raw = await dependencies.rawPod(namespace, spec.podName, signal);
    const { metadata: template, spec: wanted } = templateOf(raw);
    const body = { metadata: { name: spec.podName, labels: template.labels }, spec: wanted };
    await dependencies.api.create(pods, namespace, body, { dryRun: true, signal });
    return 'it would take another pod of that name';
  } catch (error) {
    if (isAlreadyExists(error)) return 'it would take another pod once this one is gone';
    if (isNotFound(error)) return 'the pod is gone';
    if (!(error instanceof ApiError) || error.status >= 500) throw error;
    const message = messageOf(error);
    return message.includes(`reserved for MigrationRequest ${metadata.name},`)
      ? 'reserved'
      : message;
  }
}

export async function createSecondMove(
  { api }: Dependencies,
  { requestName, nodeName }: Extract<Effect, { type: 'CreateSecondMove' }>,
  { request }: Observed,
  { signal }: Context,
): Promise<void> {
  const { namespace, name, uid } = request.metadata;
  const { target, policy } = request.status ?? {};
  const ttl = request.spec.ttlSecondsAfterFinished ?? policy?.ttlSecondsAfterFinished;
  const body = {
    metadata: {
      name: requestName,
      annotations: {
        [annotations.migration]: `${namespace}/${name}`,
        [annotations.requestUid]: uid,
        ...(target?.podUID !== undefined && { [annotations.podUid]: target.podUID }),
      },
    },
    spec: {
      podName: target?.podName,
      targetNodeName: nodeName,
      timeouts: request.spec.timeouts,
      // The policy’s own word it gets from the policy.
      ...(request.spec.podIPConnections && { podIPConnections: request.spec.podIPConnections }),
      // The first move reads how it has ended.
      ...(ttl !== undefined && { ttlSecondsAfterFinished: Math.max(ttl, leastTtlSeconds) }),
    },
  };
  try {
    await withFaults('operator.create-second-move', async () => {
      await api.create(migrationRequests, namespace, body, { signal });
    });
  } catch (error) {
    // The name is derived from this request's UID: an earlier run has created it.
    if (!isAlreadyExists(error)) throw error;
  }
}
