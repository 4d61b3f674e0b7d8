// SPDX-License-Identifier: Apache-2.0
// Whether a pod may be on a node at all: taints, node selector, required node affinity. Room, priorities and the rest are the
// scheduler's. What pins the pod to the node that it leaves does not count. Pure.
import { annotations, meetsRequirement } from '../../../crds/src/index.ts';
import type { Node, NodeSelectorTerm, Pod, Taint, Toleration } from '../../../kube/src/index.ts';
import { freeSelector, freeTerms, withoutNames, type Host } from '../host-pins.ts';

export type Scheduling = Pick<Pod['spec'], 'nodeSelector' | 'affinity' | 'tolerations'>;

/** What a pod asks of its node, without the nodes that an earlier move of it could choose from. */
export function withoutPlacement({ metadata, spec }: Pod): Scheduling {
  const { nodeSelector, affinity, tolerations } = spec;
  const required = affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution;
  if (metadata.annotations[annotations.requestUid] === undefined || !required) return spec;
  const nodeSelectorTerms = withoutNames(required.nodeSelectorTerms);
  const nodeAffinity = {
    ...affinity.nodeAffinity,
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms.length > 0 ? { ...required, nodeSelectorTerms } : undefined,
  };
  return { nodeSelector, tolerations, affinity: { ...affinity, nodeAffinity } };
}

/**
 * @param from the node that the pod leaves
 * @returns why the scheduler would not take the node, as the end of a sentence; undefined: it may
 */
export function unfit(node: Node, spec: Scheduling, from: Host): string | undefined {
  const taint = node.spec.taints.find(
    (one) =>
      (one.effect === 'NoSchedule' || one.effect === 'NoExecute') &&
      !spec.tolerations.some((other) => tolerates(other, one)),
  );
  if (taint) return `has taint ${taint.key}:${taint.effect}, which the pod does not tolerate`;
  const { labels } = node.metadata;
  for (const [key, value] of Object.entries(freeSelector(spec.nodeSelector, from))) {
    if (labels[key] !== value) {
      return `lacks the label ${key}=${value} of the pod's nodeSelector`;
    }
  }
  const required = spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution;
  const terms = freeTerms(required?.nodeSelectorTerms ?? [], from);
  if (terms.length > 0 && !terms.some((term) => matches(term, node))) {
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

function matches({ matchExpressions, matchFields }: NodeSelectorTerm, { metadata }: Node): boolean {
  if (matchExpressions.length + matchFields.length === 0) return false;
  // The API server knows no other field of a node.
  const fields = { 'metadata.name': metadata.name };
  return (
    matchExpressions.every((one) => meets(one, metadata.labels)) &&
    matchFields.every((one) => meets(one, fields))
  );
}

function meets(
  { key, operator, values }: NodeSelectorTerm['matchExpressions'][number],
  labels: Readonly<Record<string, string>>,
): boolean {
  switch (operator) {
    case 'In':
    case 'NotIn':
    case 'Exists':
    case 'DoesNotExist':
      return meetsRequirement({ key, operator, values }, labels);
    case 'Gt':
      return integer(labels[key]) > integer(values[0]);
    case 'Lt':
      return integer(labels[key]) < integer(values[0]);
    default:
      return true;
  }
}

/** As the scheduler reads a label: what is no whole number is neither greater nor less. */
const integer = (text = ''): number => (/^[+-]?\d+$/.test(text) ? Number(text) : NaN);
