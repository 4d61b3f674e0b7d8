// SPDX-License-Identifier: Apache-2.0
// What a user names by POD, deploy/NAME, sts/NAME and the like: the pods that are meant.
import { z } from 'zod';
import {
  isNotFound,
  listParsed,
  Pod,
  pods,
  type Client,
  type Resource,
} from '../../kube/src/index.ts';
import { CommandError, exitCodes, usageError } from './exit-codes.ts';

const Workload = z.object({
  metadata: z.object({ name: z.string(), uid: z.string() }),
});
type Workload = z.infer<typeof Workload>;

const workload = (apiVersion: string, kind: string, plural: string): Resource<Workload> => ({
  ...{ apiVersion, kind, plural, namespaced: true },
  parse: (json) => Workload.parse(json),
});

const Owned = z.object({
  metadata: z.object({
    uid: z.string(),
    ownerReferences: z.array(z.object({ uid: z.string() })).default([]),
  }),
});

const replicaSets: Resource<z.infer<typeof Owned>> = {
  ...workload('apps/v1', 'ReplicaSet', 'replicasets'),
  parse: (json) => Owned.parse(json),
};

/** By every name that kubectl takes for the kind. */
const kinds: Readonly<Record<string, Resource<Workload>>> = (() => {
  const deployment = workload('apps/v1', 'Deployment', 'deployments');
  const statefulSet = workload('apps/v1', 'StatefulSet', 'statefulsets');
  const replicaSet = workload('apps/v1', 'ReplicaSet', 'replicasets');
  const job = workload('batch/v1', 'Job', 'jobs');
  return {
    ...{ deploy: deployment, deployment, deployments: deployment },
    ...{ sts: statefulSet, statefulset: statefulSet, statefulsets: statefulSet },
    ...{ rs: replicaSet, replicaset: replicaSet, replicasets: replicaSet },
    ...{ job, jobs: job },
  };
})();

const podKinds = ['po', 'pod', 'pods'];

/** @throws CommandError if there is no such object, or it has no pod */
export async function podsNamed(
  api: Client,
  namespace: string,
  name: string,
  signal: AbortSignal,
): Promise<Pod[]> {
  const [kind, rest] = name.includes('/') ? splitAt(name) : ['pod', name];
  if (rest === '' || rest.includes('/')) {
    throw usageError(`'${name}' is no name. Give a pod's name, deploy/NAME, sts/NAME or job/NAME.`);
  }
  if (podKinds.includes(kind)) return [await find(api, pods, namespace, rest, signal)];
  const resource = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
  if (!resource) {
    throw usageError(
      `'${kind}' in '${name}' is no kind of workload that this command knows. Give pod, deploy, sts, rs or job.`,
    );
  }
  const owner = await find(api, resource, namespace, rest, signal);
  const owners = await ownersOf(api, resource, namespace, owner, signal);
  const { items } = await api.list(pods, { namespace, signal });
  const own = items
    .map((item) => Pod.parse(item))
    .filter(({ metadata }) => metadata.ownerReferences.some(({ uid }) => owners.has(uid)))
    .filter(mayMove);
  if (own.length > 0) return own;
  throw new CommandError(
    exitCodes.failed,
    `${resource.kind} ${rest} in namespace ${namespace} has no pod that runs. Wait until it has one, or name a pod.`,
  );
}

/** Whether the pod has not ended, and nobody has deleted it. */
export const mayMove = ({ metadata, status }: Pod): boolean =>
  status.phase !== 'Succeeded' &&
  status.phase !== 'Failed' &&
  metadata.deletionTimestamp === undefined;

/** Whether a name is that of a workload, and means all of its pods. */
export const isWorkload = (name: string): boolean =>
  name.includes('/') && !podKinds.includes(splitAt(name)[0]);

const splitAt = (name: string): readonly [string, string] => {
  const slash = name.indexOf('/');
  return [name.slice(0, slash).toLowerCase(), name.slice(slash + 1)];
};

/** UIDs of what owns its pods: itself, or the ReplicaSets of a Deployment. */
async function ownersOf(
  api: Client,
  { kind }: Resource<Workload>,
  namespace: string,
  { metadata }: Workload,
  signal: AbortSignal,
): Promise<Set<string>> {
  if (kind !== 'Deployment') return new Set([metadata.uid]);
  const sets = await listParsed(api, replicaSets, { namespace, signal });
  const own = sets.filter((one) =>
    one.metadata.ownerReferences.some(({ uid }) => uid === metadata.uid),
  );
  return new Set(own.map((one) => one.metadata.uid));
}

/** @throws CommandError that names the object and the namespace */
export async function find<T>(
  api: Client,
  resource: Resource<T>,
  namespace: string,
  name: string,
  signal: AbortSignal,
): Promise<T> {
  try {
    return await api.get(resource, namespace, name, { signal });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    const where = resource.namespaced ? ` in namespace ${namespace}` : '';
    throw new CommandError(
      exitCodes.failed,
      `There is no ${resource.kind} ${name}${where}.${resource.namespaced ? ' Another namespace is chosen with -n.' : ''}`,
      error,
    );
  }
}
