// SPDX-License-Identifier: Apache-2.0
// Of several requests for one pod the operator accepts one at a time.
import {
  isFinished,
  type CheckpointRequest,
  type MigrationRequest,
} from '../../../crds/src/index.ts';
import {
  ApiError,
  checkpointRequests,
  listParsed,
  migrationRequests,
  type ApiObject,
  type Resource,
} from '../../../kube/src/index.ts';
import type { Dependencies } from './dependencies.ts';
import type { Refusal } from '../refusal.ts';

interface PodRequest extends ApiObject {
  readonly spec: { readonly podName: string };
}

export type CompetingRequest = MigrationRequest | CheckpointRequest;

/** Kinds that need a pod for themselves. */
export const competingKinds = [migrationRequests, checkpointRequests] as const;

/** The request that is already accepted wins, else the oldest. Pure. */
export function refuseCompeting(
  request: CompetingRequest,
  others: readonly CompetingRequest[],
): Refusal | undefined {
  const winner = others.find(
    (other) =>
      other.metadata.uid !== request.metadata.uid &&
      !isDryRun(other) &&
      !isFinished(other) &&
      (isAccepted(other) || isOlder(other, request)),
  );
  return (
    winner && {
      reason: 'AnotherMigration',
      message: `${winner.kind} ${winner.metadata.name} is at work on this pod. Wait until it has finished, then create a new request.`,
    }
  );
}

/** It only looks: it needs no pod for itself. */
const isDryRun = (request: CompetingRequest): boolean =>
  request.kind === 'MigrationRequest' && request.spec.dryRun;

function isAccepted({ status }: CompetingRequest): boolean {
  if (!status) return false;
  return 'source' in status
    ? status.source !== undefined
    : 'podUID' in status && status.podUID !== undefined;
}

function isOlder({ metadata: a }: CompetingRequest, { metadata: b }: CompetingRequest): boolean {
  if (a.creationTimestamp === b.creationTimestamp) return a.uid < b.uid;
  return a.creationTimestamp < b.creationTimestamp;
}

/**
 * Writes the status that accepts a request. Reconcilers observe the requests for one pod side by side, and what one
 * has read may be older than the acceptance of another. So acceptance is serialized per pod, and looks again.
 * @throws ApiError `Conflict` when another request was accepted meanwhile: the reconciler starts again
 */
export async function acceptExclusively<T>(
  dependencies: Dependencies,
  request: CompetingRequest,
  signal: AbortSignal,
  write: () => Promise<T>,
): Promise<T> {
  const key = `${request.metadata.namespace}/${request.spec.podName}`;
  return dependencies.acceptingPod.run(key, async () => {
    const others = await competingRequests(dependencies, request, competingKinds, signal);
    const refusal = refuseCompeting(request, others);
    if (refusal) throw new ApiError(409, 'Conflict', refusal.message);
    return write();
  });
}

/**
 * Other requests for the same pod, before the request is accepted. A queue of many is looked at again and again, so watches say
 * whether there is one; if they know of any, they are read: a refusal is for good. Acceptance looks again anyway.
 */
export async function seenCompeting(
  dependencies: Dependencies,
  request: CompetingRequest,
  signal: AbortSignal,
): Promise<CompetingRequest[]> {
  const { migrations, checkpoints } = dependencies.watched ?? {};
  const { namespace, uid } = request.metadata;
  const isOther = ({ metadata, spec }: CompetingRequest): boolean =>
    metadata.uid !== uid &&
    metadata.namespace === namespace &&
    spec.podName === request.spec.podName;
  const isAlone =
    migrations && checkpoints && ![migrations, checkpoints].some((one) => one.list().some(isOther));
  return isAlone ? [] : competingRequests(dependencies, request, competingKinds, signal);
}

type Parsed<T> = T extends readonly Resource<infer O>[] ? O : never;

/** Every other request of the given kinds for the same pod, as it is now. */
export async function competingRequests<T extends readonly Resource<PodRequest>[]>(
  dependencies: Dependencies,
  request: PodRequest,
  kinds: T,
  signal: AbortSignal,
): Promise<Parsed<T>[]> {
  const { namespace, uid } = request.metadata;
  const fieldSelector = `spec.podName=${request.spec.podName}`;
  const lists = await Promise.all(
    kinds.map((resource) =>
      listParsed(dependencies.api, resource, { namespace, fieldSelector, signal }),
    ),
  );
  return lists.flat().filter((other): other is Parsed<T> => other.metadata.uid !== uid);
}
