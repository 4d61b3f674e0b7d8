// SPDX-License-Identifier: Apache-2.0
// Whether a pod may be on a node at all: taints, node selector, required node affinity. Room, priorities and the rest are the
// scheduler's. What names a single host does not count: a move is to leave it (target-pod/manifest.ts drops it too). Pure.
import { meetsRequirement } from '../../../crds/src/index.ts';
import type { Node, NodeSelectorTerm, Pod, Taint, Toleration } from '../../../kube/src/index.ts';

export type Scheduling = Pick<Pod['spec'], 'nodeSelector' | 'affinity' | 'tolerations'>;

const host = 'kubernetes.io/hostname';

/** @returns why the scheduler would not take the node, as the end of a sentence; undefined: it may */
export function unfit(node: Node, spec: Scheduling): string | undefined {
  const taint = node.spec.taints.find(
    (one) =>
      (one.effect === 'NoSchedule' || one.effect === 'NoExecute') &&
      !spec.tolerations.some((other) => tolerates(other, one)),
  );
  if (taint) return `has taint ${taint.key}:${taint.effect}, which the pod does not tolerate`;
  const { labels } = node.metadata;
  for (const [key, value] of Object.entries(spec.nodeSelector)) {
    if (key !== host && labels[key] !== value) {
      return `lacks the label ${key}=${value} of the pod's nodeSelector`;
    }
  }
  const terms =
    spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  if (terms && !terms.some((term) => matches(term, labels))) {
    return "does not match the pod's required node affinity";
  }
  return undefined;
}

/** An empty key with Exists tolerates every taint, an empty effect those of the key with any effect. */
function tolerates({ key, operator, value, effect }: Toleration, taint: Taint): boolean {
  if (effect !== '' && effect !== taint.effect) return false;
  if (key === '') return operator === 'Exists';
  return key === taint.key && (operator === 'Exists' || value === taint.value);
}

function matches(
  { matchExpressions }: NodeSelectorTerm,
  labels: Readonly<Record<string, string>>,
): boolean {
  return matchExpressions
    .filter((one) => one.key !== host)
    .every(({ key, operator, values }) => {
      switch (operator) {
        case 'In':
        case 'NotIn':
        case 'Exists':
        case 'DoesNotExist':
          return meetsRequirement({ key, operator, values }, labels);
        case 'Gt':
          return Number(labels[key]) > Number(values[0]);
        case 'Lt':
          return Number(labels[key]) < Number(values[0]);
        default:
          return true;
      }
    });
}
