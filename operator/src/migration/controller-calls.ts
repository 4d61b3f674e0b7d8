// SPDX-License-Identifier: Apache-2.0
// Puts source and target into their controller's place, and takes them out. Idempotent: each call is one write of a pod,
// and names the version that was read, because lists are replaced whole.
import { annotations, finalizers, labels, type PodController } from '../../../crds/src/index.ts';
import {
  pods,
  unlessNotFound,
  withFaults,
  type ApiObject,
  type Context,
  type OwnerReference,
  type Pod,
  type Resource,
} from '../../../kube/src/index.ts';
import type { Dependencies } from '../requests/dependencies.ts';
import { setPodCondition } from '../requests/pod-writes.ts';
import { isDetached, lowestCost, referenceTo } from '../target-pod/controllers.ts';
import { controllerOf, namespaceOwner } from '../target-pod/ownership.ts';
import type { ControllerState } from './types.ts';

interface Controller extends ApiObject {
  readonly metadata: ApiObject['metadata'] & {
    readonly deletionTimestamp?: string;
    readonly creationTimestamp?: string;
    readonly finalizers?: readonly string[];
    readonly ownerReferences?: readonly { readonly uid: string }[];
  };
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

const kinds: Readonly<Record<string, Resource<Controller> | undefined>> = {
  ReplicaSet: resource('apps/v1', 'ReplicaSet', 'replicasets'),
  Job: resource('batch/v1', 'Job', 'jobs'),
  StatefulSet: resource('apps/v1', 'StatefulSet', 'statefulsets'),
};

/** A StatefulSet's, one for each template that it has had. It is the owner of all. */
const revisions = resource('apps/v1', 'ControllerRevision', 'controllerrevisions');

function resource(apiVersion: string, kind: string, plural: string): Resource<Controller> {
  const parse = (json: unknown): Controller => json as Controller;
  return { apiVersion, kind, plural, namespaced: true, parse };
}

/**
 * @param members pods that are or were the controller's
 * @returns undefined if nobody knows: the kind is another one
 */
export async function readController(
  dependencies: Pick<Dependencies, 'find'>,
  namespace: string,
  { apiVersion, kind, name, uid }: PodController,
  members: readonly (Pod | undefined)[],
  signal: AbortSignal,
): Promise<ControllerState | undefined> {
  const one = kinds[kind];
  if (one?.apiVersion !== apiVersion) return undefined;
  const found = await dependencies.find(one, namespace, name, signal);
  if (found?.metadata.uid !== uid) {
    if (kind !== 'StatefulSet') return 'gone';
    const deletion = { uid, successor: found, untouched: 'gone' } as const;
    return afterDeletion(dependencies, namespace, deletion, members, signal);
  }
  const { deletionTimestamp, finalizers: own = [] } = found.metadata;
  if (deletionTimestamp !== undefined) {
    if (own.includes('orphan')) return 'orphaning';
    if (own.includes('foregroundDeletion')) return 'deleted';
    // Somebody else's finalizer holds it: the garbage collector may have left its pods behind already, or has yet to see to them.
    if (kind !== 'StatefulSet') return 'gone';
    const deletion = { uid, successor: undefined, untouched: 'active' } as const;
    return afterDeletion(dependencies, namespace, deletion, members, signal);
  }
  const isFinished = found.status?.conditions?.some(
    ({ type, status }) => (type === 'Complete' || type === 'Failed') && status === 'True',
  );
  return isFinished ? 'finished' : 'active';
}

interface Deletion {
  readonly uid: string;
  /** Another set of its name, which takes revisions that were left behind as its own, and makes some. */
  readonly successor: Controller | undefined;
  /** What to say of it while its revisions are its own. */
  readonly untouched: ControllerState;
}

/**
 * Whether a StatefulSet that was deleted has left its pods behind: the garbage collector has dealt with its revisions as with them.
 */
async function afterDeletion(
  dependencies: Pick<Dependencies, 'find'>,
  namespace: string,
  { uid, successor, untouched }: Deletion,
  members: readonly (Pod | undefined)[],
  signal: AbortSignal,
): Promise<ControllerState> {
  const [name] = members.flatMap((pod) => pod?.metadata.labels[labels.revision] ?? []);
  if (name === undefined) return 'gone';
  const found = await dependencies.find(revisions, namespace, name, signal);
  if (!found) return 'deleted';
  const { creationTimestamp = '', deletionTimestamp, ownerReferences = [] } = found.metadata;
  if (ownerReferences.some((one) => one.uid === uid)) return untouched;
  if (deletionTimestamp !== undefined) return 'deleted';
  const since = successor?.metadata.creationTimestamp;
  return since !== undefined && creationTimestamp >= since ? 'deleted' : 'orphaning';
}

/** @param point `operator.attach-target` or `operator.attach-source` */
export async function attach(
  dependencies: Dependencies,
  pod: Pod,
  controller: PodController,
  point: string,
  context: Context,
): Promise<void> {
  const { deletionTimestamp, finalizers: before } = pod.metadata;
  // The API server lets nobody add a finalizer to a pod that is being deleted.
  const isCounted = controller.kind === 'Job' && deletionTimestamp === undefined;
  const { jobTracking } = finalizers;
  const added = isCounted && !before.includes(jobTracking) ? [...before, jobTracking] : before;
  await setOwner(dependencies, pod, referenceTo(controller), added, point, context);
}

/**
 * @param point `operator.detach-source` or `operator.detach-target`
 * @param other a pod that may have the namespace as owner already: reading it would take time, in which both are counted
 */
export async function detach(
  dependencies: Dependencies,
  pod: Pod,
  other: Pod | undefined,
  point: string,
  context: Context,
): Promise<void> {
  const known = other && isDetached(other) ? controllerOf(other) : undefined;
  const owner = known ?? (await readNamespace(dependencies, pod, context));
  const left = pod.metadata.finalizers.filter((one) => one !== finalizers.jobTracking);
  await setOwner(dependencies, pod, owner, left, point, context);
}

/**
 * The controller may have deleted the target just before the source left: then the source comes back, before the
 * controller acts on the next event. A Job does so a second later.
 */
export async function undoIfAlone(
  dependencies: Dependencies,
  source: Pod,
  target: Pod | undefined,
  controller: PodController,
  context: Context,
): Promise<void> {
  const { namespace, name, uid } = source.metadata;
  const [from, to] = await Promise.all([
    dependencies.findPod(namespace, name, context.signal),
    dependencies.findPod(namespace, target?.metadata.name, context.signal),
  ]);
  const isThere = to?.metadata.uid === target?.metadata.uid && !to?.metadata.deletionTimestamp;
  if (from?.metadata.uid !== uid || !isDetached(from) || isThere) return;
  await attach(dependencies, from, controller, 'operator.attach-source', context);
}

async function readNamespace(
  dependencies: Dependencies,
  { metadata: { namespace } }: Pod,
  { signal }: Context,
): Promise<OwnerReference> {
  return namespaceOwner(namespace, await dependencies.namespaceUid(namespace, signal));
}

/** Of a source whose controller is gone and has left it behind, or of a landing pod that waits: it belongs to nobody. */
export async function release(
  dependencies: Dependencies,
  pod: Pod | undefined,
  point: string,
  context: Context,
): Promise<void> {
  if (!pod) return;
  await setOwner(dependencies, pod, undefined, pod.metadata.finalizers, point, context);
}

async function setOwner(
  { api }: Dependencies,
  pod: Pod,
  owner: OwnerReference | undefined,
  finalizersAfter: readonly string[],
  point: string,
  { signal }: Context,
): Promise<void> {
  const { namespace, name, uid, resourceVersion, ownerReferences } = pod.metadata;
  const before = controllerOf(pod);
  const others = ownerReferences.filter((one) => one !== before);
  const metadata = {
    ...{ uid, resourceVersion, finalizers: finalizersAfter },
    ownerReferences: owner ? [owner, ...others] : others,
  };
  await withFaults(point, () =>
    unlessNotFound(api.merge(pods, namespace, name, { metadata }, { signal })),
  );
}

/**
 * Says of a source that has ended what its kubelet is about to say, as the node controller does for a node that is gone,
 * and makes it the first pod that its ReplicaSet deletes.
 */
export async function retire(
  dependencies: Dependencies,
  pod: Pod,
  context: Context,
): Promise<void> {
  const { api } = dependencies;
  const { namespace, name, uid } = pod.metadata;
  const { signal } = context;
  const annotated = { uid, annotations: { [annotations.deletionCost]: String(lowestCost) } };
  const condition = {
    type: 'Ready',
    status: 'False',
    reason: 'MovedAway',
    message: 'The pod runs on another node.',
  } as const;
  await withFaults('operator.retire-source', async () => {
    const patch = { metadata: annotated };
    const changed = await unlessNotFound(api.merge(pods, namespace, name, patch, { signal }));
    if (changed?.metadata.uid !== uid) return;
    await setPodCondition(dependencies, changed, condition, context);
  });
}
