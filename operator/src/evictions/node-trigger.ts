// SPDX-License-Identifier: Apache-2.0
// Pods that leave their node without an eviction: a policy says so of nodes that are cordoned, or have a taint.
import { annotations, type MigrationPolicy, type Trigger } from '../../../crds/src/index.ts';
import {
  listParsed,
  messageOf,
  pods,
  type Api,
  type Context,
  type Informer,
  type Namespace,
  type Node,
  type Parts,
  type Pod,
} from '../../../kube/src/index.ts';
import { triggerOf } from '../nodes/emptied.ts';
import { namesRequest } from '../target-pod/ownership.ts';
import type { Evictor } from './evictor.ts';
import { runsInSealift, wishFor } from './wish.ts';

/** While a node is to be emptied, a budget or a limit may allow the next move, and pods may be new. */
const pollMs = 15_000;

export interface NodeObserved {
  readonly node: Node;
  /** The node's pods of Sealift's runtime, and which policy applies to each. */
  readonly pods: readonly { readonly pod: Pod; readonly policy: MigrationPolicy | undefined }[];
}

export interface Leaving {
  readonly pod: Pod;
  readonly trigger: Trigger;
}

/** One for all pods: one that fails must not keep the others. */
export interface Evacuate {
  readonly type: 'Evacuate';
  readonly leaving: readonly Leaving[];
}

/** Which pods are to leave. A pod that asks to be evicted stays until it is. Pure. */
export function decideNode({ node, pods: all }: NodeObserved): Leaving[] {
  return all.flatMap(({ pod, policy }): Leaving[] => {
    const trigger = policy && triggerOf(node, policy);
    const { [annotations.eviction]: own } = pod.metadata.annotations;
    if (!trigger || own === 'evict' || !runsInSealift(pod) || namesRequest(pod)) return [];
    return [{ pod, trigger }];
  });
}

export interface NodeTriggerParts {
  readonly api: Api;
  readonly evictor: Pick<Evictor, 'evacuate'>;
  readonly nodes: Pick<Informer<Node>, 'get'>;
  readonly namespaces: Pick<Informer<Namespace>, 'get'>;
  readonly policies: Pick<Informer<MigrationPolicy>, 'list'>;
}

/** A reconciler whose keys are names of nodes. It has no status. */
export function nodeTriggerParts(parts: NodeTriggerParts): Parts<NodeObserved, Evacuate, never> {
  return {
    observe: (name, context) => observe(parts, name, context),
    decide: (observed) => {
      const leaving = decideNode(observed);
      const effects: Evacuate[] = leaving.length > 0 ? [{ type: 'Evacuate', leaving }] : [];
      return { status: undefined, effects, requeueAfterMs: pollMs };
    },
    publish: () => Promise.resolve(),
    act: ({ leaving }, _observed, context) => evacuate(parts, leaving, context),
  };
}

/** @throws the first failure, after all pods were looked at: the controller tries again */
async function evacuate(
  { evictor }: NodeTriggerParts,
  leaving: readonly Leaving[],
  { signal, log }: Context,
): Promise<void> {
  const failures: unknown[] = [];
  for (const { pod, trigger } of leaving) {
    signal.throwIfAborted();
    const { namespace, name } = pod.metadata;
    await evictor.evacuate(pod, trigger, signal).catch((error: unknown) => {
      failures.push(error);
      const detail = messageOf(error);
      log.warn({ pod: `${namespace}/${name}`, detail }, 'a pod is not moved away yet');
    });
  }
  if (failures.length > 0) throw failures[0];
}

async function observe(
  { api, nodes, namespaces, policies }: NodeTriggerParts,
  name: string,
  { signal }: Context,
): Promise<NodeObserved | undefined> {
  const node = nodes.get(name);
  const all = policies.list();
  if (!node || !all.some((policy) => triggerOf(node, policy))) return undefined;
  const here = { fieldSelector: `spec.nodeName=${name}`, signal };
  const own = await listParsed(api, pods, here, runsInSealift);
  return {
    node,
    pods: own.map((pod) => {
      const labels = namespaces.get(pod.metadata.namespace)?.metadata.labels ?? {};
      return { pod, policy: wishFor(pod, { labels }, all).policy };
    }),
  };
}
