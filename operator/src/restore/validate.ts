// SPDX-License-Identifier: Apache-2.0
// Whether a RestoreRequest can be accepted, and on which node its pod is created. Pure.
import { isStored } from '../../../crds/src/index.ts';
import { PodScheduling, type Node } from '../../../kube/src/index.ts';
import { chooseNode } from '../nodes/node-choice.ts';
import type { Refusal } from '../requests/refusal.ts';
import { isTargetOf } from '../target-pod/ownership.ts';
import type { Observed, PodIdentity } from './types.ts';

interface Accepted {
  readonly node: Node;
  readonly identity: PodIdentity;
}

export function validate(observed: Observed): Refusal | Accepted {
  const { request, checkpoint, targetPod, podName, nodes, load, identity } = observed;
  const name = request.spec.checkpointName;
  if (!checkpoint) {
    return {
      reason: 'CheckpointNotFound',
      message: `There is no CheckpointRequest ${name} in this namespace.`,
    };
  }
  const { status } = checkpoint;
  if (!isStored(checkpoint) || !status?.podTemplate) {
    return {
      reason: 'CheckpointNotReady',
      message: `CheckpointRequest ${name} has no images: its phase is ${status?.phase ?? 'Pending'}; restore from one that has succeeded.`,
    };
  }
  if (targetPod && !isTargetOf(targetPod, request)) {
    return {
      reason: 'PodNameTaken',
      message: `A pod ${podName} exists already; set spec.podName or delete it.`,
    };
  }
  const from = status.nodeName ?? '';
  const wanted = request.spec.targetNodeName;
  const { data: scheduling } = PodScheduling.safeParse(status.podTemplate.spec);
  const seed = request.metadata.uid;
  const node = chooseNode({ nodes, from, mayStay: true, wanted, load, seed, scheduling });
  if ('reason' in node) {
    if (node.reason !== 'SourceNodeUnavailable') return node;
    return { reason: 'CheckpointNodeUnavailable', message: node.message };
  }
  return 'reason' in identity ? identity : { node, identity };
}
