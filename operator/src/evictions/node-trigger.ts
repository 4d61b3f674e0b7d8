// SPDX-License-Identifier: Apache-2.0
// Pods that leave their node without an eviction: a policy says so of nodes that are cordoned, or have a taint.
import { annotations, type MigrationPolicy, type Trigger } from '../../../crds/src/index.ts';
import {
  listParsed,
  pods,
  type Api,
  type Context,
  type Informer,
  type Namespace,
  type Node,
  type Parts,
  type Pod,
} from '../../../kube/src/index.ts';
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

export interface Evacuate {
  readonly type: 'Evacuate';
  readonly pod: Pod;
  readonly trigger: Trigger;
}

/** Why a policy wants its pods to leave a node; undefined: it does not. Pure. */
export function triggerOf(node: Node, policy: MigrationPolicy): Trigger | undefined {
  const { cordoned, taints = [] } = policy.spec.nodes;
  if (cordoned && node.spec.unschedulable) return 'Cordon';
  const isTainted = node.spec.taints.some((has) =>
    taints.some(
      ({ key, value, effect }) =>
        key === has.key &&
        (value === undefined || value === has.value) &&
        (effect === undefined || effect === has.effect),
    ),
  );
  return isTainted ? 'Taint' : undefined;
}

/** Which pods are to leave. A pod that asks to be evicted stays until it is. Pure. */
export function decideNode({ node, pods: all }: NodeObserved): Evacuate[] {
  return all.flatMap(({ pod, policy }): Evacuate[] => {
    const trigger = policy && triggerOf(node, policy);
    const { [annotations.eviction]: own } = pod.metadata.annotations;
    if (!trigger || own === 'evict' || !runsInSealift(pod) || namesRequest(pod)) return [];
    return [{ type: 'Evacuate', pod, trigger }];
  });
}

export interface NodeTriggerParts {
  readonly api: Api;
  readonly evictor: Evictor;
  readonly nodes: Pick<Informer<Node>, 'get'>;
  readonly namespaces: Pick<Informer<Namespace>, 'get'>;
  readonly policies: Pick<Informer<MigrationPolicy>, 'list'>;
}

/** A reconciler whose keys are names of nodes. It has no status. */
export function nodeTriggerParts(parts: NodeTriggerParts): Parts<NodeObserved, Evacuate, never> {
  return {
    observe: (name, context) => observe(parts, name, context),
    decide: (observed) => ({
      status: undefined,
      effects: decideNode(observed),
      requeueAfterMs: pollMs,
    }),
    publish: () => Promise.resolve(),
    act: async ({ pod, trigger }, _observed, { signal }) => {
      await parts.evictor.evacuate(pod, trigger, signal);
    },
  };
}

async function observe(
  { api, nodes, namespaces, policies }: NodeTriggerParts,
  name: string,
  { signal }: Context,
): Promise<NodeObserved | undefined> {
  const node = nodes.get(name);
  const all = policies.list();
  if (!node || !all.some((policy) => triggerOf(node, policy))) return undefined;
  const here = await listParsed(api, pods, { fieldSelector: `spec.nodeName=${name}`, signal });
  const own = here.filter(runsInSealift);
  return {
    node,
    pods: own.map((pod) => {
      const labels = namespaces.get(pod.metadata.namespace)?.metadata.labels ?? {};
      return { pod, policy: wishFor(pod, { labels }, all).policy };
    }),
  };
}
