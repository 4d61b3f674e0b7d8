// SPDX-License-Identifier: Apache-2.0
// Takes Sealift off all nodes before helm deletes the chart's objects. The chart's pre-delete hook calls it. It lets the
// DaemonSet's pods run `uninstall` and then idle: on all nodes at once, so that one that is down keeps no other from it. A
// Lease lets one of them at a time restart its runtime.
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { ObjectMeta, RUNTIME_CLASS } from '../../../../crds/src/index.ts';
import {
  listParsed,
  messageOf,
  NOT_ENDED,
  Pod as PodSchema,
  pods,
  unlessNotFound,
  visit,
  type Api,
  type Logger,
  type Resource,
} from '../../../../kube/src/index.ts';
import { AgentError } from '../../support/errors.ts';
import { hasEnded } from '../../support/kept-by.ts';
import { refuseWhileRequestsRun, releaseRequests } from './release-requests.ts';

const Container = z.looseObject({ name: z.string(), args: z.array(z.string()).default([]) });
const DaemonSet = z.object({
  metadata: z.looseObject({ name: z.string(), generation: z.number().default(0) }),
  spec: z.looseObject({
    template: z.looseObject({
      spec: z.looseObject({ containers: z.array(Container), initContainers: z.array(Container) }),
    }),
  }),
  status: z
    .looseObject({
      observedGeneration: z.number().default(0),
      desiredNumberScheduled: z.number().default(0),
      updatedNumberScheduled: z.number().default(0),
      numberAvailable: z.number().default(0),
    })
    .prefault({}),
});
type DaemonSet = z.infer<typeof DaemonSet>;

export const daemonSets: Resource<DaemonSet> = {
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  plural: 'daemonsets',
  namespaced: true,
  parse: (json) => DaemonSet.parse(json),
};

const RuntimeClass = z.object({ metadata: ObjectMeta, handler: z.string() });
export const runtimeClasses: Resource<z.infer<typeof RuntimeClass>> = {
  apiVersion: 'node.k8s.io/v1',
  kind: 'RuntimeClass',
  plural: 'runtimeclasses',
  namespaced: false,
  parse: (json) => RuntimeClass.parse(json),
};

/**
 * Asked before anything is changed: a node that refuses has no agent any more, and a pod that is just being moved would stay
 * frozen.
 * @throws AgentError ContainersLeft while pods of the cluster run with Sealift's handler; the API server's error
 */
export async function refuseWhilePodsRun(api: Pick<Api, 'list'>, handler: string): Promise<void> {
  const own = await listParsed(api, runtimeClasses, {}, (one) => one.handler === handler);
  const classes = own.map(({ metadata }) => metadata.name);
  const left: string[] = [];
  await visit(api, pods, { fieldSelector: NOT_ENDED }, (pod) => {
    const name = pod.spec.runtimeClassName ?? '';
    const isOurs = name === RUNTIME_CLASS || classes.includes(name);
    if (isOurs && !hasEnded(pod)) left.push(`${pod.metadata.namespace}/${pod.metadata.name}`);
  });
  if (left.length === 0) return;
  throw new AgentError(
    'ContainersLeft',
    `${left.length} pods run with Sealift's runtime class (${left.slice(0, 3).join(', ')}). Delete them, then run helm uninstall again. ` +
      'Nothing has been changed.',
  );
}

/** The pods' containers with other arguments. Pure. */
export function uninstalling(of: DaemonSet): object {
  const spec = of.spec.template.spec;
  const initContainers = spec.initContainers.map((one) => ({ ...one, args: ['uninstall'] }));
  // Without mounts: the runtime would make the directories again that have just been removed.
  const idling = { args: ['idle'], volumeMounts: [] };
  const containers = spec.containers.map((one) => ({ ...one, ...idling }));
  const updateStrategy = { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '100%' } };
  return { spec: { updateStrategy, template: { spec: { containers, initContainers } } } };
}

/** `uninstalling` has been done to it, and nobody has undone it. Pure. */
const isUninstalling = ({ spec }: DaemonSet): boolean =>
  spec.template.spec.initContainers.some(({ args }) => args.includes('uninstall'));

/** Every node's pod is of the new kind and runs: its init container has ended well. Pure. */
export function isDone({ metadata, status }: Pick<DaemonSet, 'metadata' | 'status'>): boolean {
  return (
    status.observedGeneration >= metadata.generation &&
    status.updatedNumberScheduled >= status.desiredNumberScheduled &&
    status.numberAvailable >= status.desiredNumberScheduled
  );
}

/** An agent's pod, with what its container is told to do. */
const AgentPod = PodSchema.extend({
  spec: z.object({
    nodeName: z.string().default(''),
    containers: z.array(z.object({ args: z.array(z.string()).default([]) })),
  }),
});
type AgentPod = z.infer<typeof AgentPod>;
const agentPods: Resource<AgentPod> = { ...pods, parse: (json) => AgentPod.parse(json) };

/** Why a node is not done, by its agent's pod; undefined: it is. Pure. */
export function unfinished({ metadata, spec, status }: AgentPod): string | undefined {
  const isOld = !spec.containers.some(({ args }) => args.includes('idle'));
  const ready = status.conditions.find(({ type }) => type === 'Ready')?.status === 'True';
  if (!isOld && ready) return undefined;
  const node = spec.nodeName || `no node (${metadata.name})`;
  const [init] = status.initContainerStatuses;
  const said = init?.state.terminated?.message || init?.lastState.terminated?.message;
  if (!isOld && said) return `${node}: ${lastMessage(said)}`;
  if (isOld && !ready) return `${node}: its kubelet does not answer`;
  const waiting = init?.state.waiting?.reason;
  return `${node}: ${waiting ? `waits (${waiting})` : 'not done yet'}`;
}

/** The message of the last line of a log in JSON. */
function lastMessage(log: string): string {
  const line = log.trim().split('\n').at(-1) ?? '';
  try {
    const parsed = z.looseObject({ message: z.string() }).safeParse(JSON.parse(line));
    return parsed.success ? parsed.data.message : line;
  } catch {
    // It was cut, or is no JSON.
    return line;
  }
}

const everyMs = 3000;
/** So many looks at the requests in a row find no finalizer that is to be taken away. */
const quietLooks = 3;

export interface UninstallOptions {
  readonly namespace: string;
  readonly name: string;
  readonly handler: string;
  /** Then it says which nodes are left. The Job's deadline is later: with its pod, its log would be gone. */
  readonly limitMs: number;
  readonly everyMs?: number;
}

/** The nodes that are not done, each with the reason. */
async function nodesLeft(
  api: Pick<Api, 'list'>,
  { namespace, name }: UninstallOptions,
): Promise<string[]> {
  const left: string[] = [];
  await visit(api, agentPods, { namespace }, (pod) => {
    const isOwn = ({ kind, name: owner }: { kind: string; name: string }): boolean =>
      kind === 'DaemonSet' && owner === name;
    const why = pod.metadata.ownerReferences.some(isOwn) ? unfinished(pod) : undefined;
    if (why !== undefined) left.push(why);
  });
  return left;
}

/**
 * Resolves when every node is done, or the DaemonSet is gone. A control plane whose runtime restarts may not answer for a while.
 * @throws AgentError ContainersLeft, RequestsLeft, NodesLeft; the API server's error, if it goes on to the end
 */
export async function uninstallNodes(api: Api, log: Logger, o: UninstallOptions): Promise<void> {
  const end = Date.now() + o.limitMs;
  let hasBegun = false;
  let failure: Error | undefined;
  do {
    try {
      failure = undefined;
      if (!hasBegun) await begin(api, o);
      hasBegun = true;
      if (await look(api, log, o)) return await letGo(api, log, { ...o, end });
    } catch (error) {
      if (error instanceof AgentError) throw keepable(error, o);
      failure = error instanceof Error ? error : new Error(String(error));
      log.warn({ detail: messageOf(error) }, 'no answer about the DaemonSet');
    }
    await sleep(o.everyMs ?? everyMs);
  } while (Date.now() < end);
  if (failure) throw failure;
  throw keepable(await nodesLeftError(api, o), o);
}

/** helm marks a release before it runs the hook, and leaves the mark where that fails: then it refuses every upgrade. */
function keepable(error: AgentError, { name, namespace }: UninstallOptions): AgentError {
  const release = name.replace(/-agent$/, '');
  return new AgentError(
    error.code,
    `${error.message} To keep Sealift instead, run helm rollback ${release} <revision> -n ${namespace} with the last revision that ` +
      `helm history ${release} -n ${namespace} shows: helm upgrade alone says "has no deployed releases".`,
    { cause: error },
  );
}

async function begin(api: Api, { namespace, name, handler }: UninstallOptions): Promise<void> {
  const before = await unlessNotFound(api.get(daemonSets, namespace, name));
  // Without a DaemonSet, too: an operator may still be at work, and what has not finished has to stay protected.
  if (before) await refuseWhilePodsRun(api, handler);
  await refuseWhileRequestsRun(api);
  if (before) await unlessNotFound(api.merge(daemonSets, namespace, name, uninstalling(before)));
}

/**
 * Last: until then a node that is mended could still need its requests protected. The operator runs until helm deletes it, and
 * protects each request that is made meanwhile.
 */
async function letGo(
  api: Api,
  log: Logger,
  { end, everyMs: pauseMs = everyMs }: { readonly end: number; readonly everyMs?: number },
): Promise<void> {
  let released = 0;
  for (let quiet = 0; quiet < quietLooks;) {
    const now = await releaseRequests(api);
    released += now;
    quiet = now > 0 ? 0 : quiet + 1;
    if (quiet === quietLooks) break;
    if (Date.now() >= end) {
      log.warn({ released }, 'requests are still made: the last ones may keep a finalizer');
      return;
    }
    await sleep(pauseMs);
  }
  if (released > 0) log.info({ released }, 'finalizers taken from the requests that stay');
}

/** @returns whether every node is done */
async function look(api: Api, log: Logger, o: UninstallOptions): Promise<boolean> {
  const now = await unlessNotFound(api.get(daemonSets, o.namespace, o.name));
  if (!now) log.info({ name: o.name }, 'there is no such DaemonSet: nothing to take off the nodes');
  // helm rollback, or an upgrade, by somebody whose helm has not waited for the end of this: the requests are in use again.
  if (now && !isUninstalling(now))
    throw new AgentError(
      'NodesLeft',
      `DaemonSet ${o.name} has been put back as it was, so this uninstall has ended. Run helm uninstall again for another.`,
    );
  if (!now || isDone(now)) return true;
  const { updatedNumberScheduled: updated, desiredNumberScheduled: desired } = now.status;
  log.info({ updated, available: now.status.numberAvailable, desired }, 'waiting for the nodes');
  return false;
}

async function nodesLeftError(api: Api, o: UninstallOptions): Promise<AgentError> {
  const left = await nodesLeft(api, o);
  return new AgentError(
    'NodesLeft',
    `Sealift is not off these nodes: ${left.join('; ') || 'the DaemonSet has not said that it is done'}. ` +
      'Mend that, or delete the Node object of one that does not come back; then run helm uninstall again. It goes on where it ' +
      'was: nodes that are done stay so.',
  );
}
