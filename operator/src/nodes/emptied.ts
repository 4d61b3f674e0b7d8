// SPDX-License-Identifier: Apache-2.0
// Nodes that a policy's pods are to leave. Pure.
import type { MigrationPolicy, Trigger } from '../../../crds/src/index.ts';
import type { Node } from '../../../kube/src/index.ts';

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

/** Why a pod of the policy would have to leave the node again, as the end of a sentence; undefined: it would not. Pure. */
export function emptiedBy(
  policy: MigrationPolicy | undefined,
): ((node: Node) => string | undefined) | undefined {
  if (!policy) return undefined;
  return (node) =>
    triggerOf(node, policy) &&
    `is one that MigrationPolicy ${policy.metadata.name} moves its pods away from (spec.nodes)`;
}
