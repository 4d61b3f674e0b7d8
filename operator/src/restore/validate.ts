// SPDX-License-Identifier: Apache-2.0
// Whether a RestoreRequest can be accepted, and on which nodes its pod may be created. Pure.
import { isStored } from '../../../crds/src/index.ts';
import { PodScheduling, type Node } from '../../../kube/src/index.ts';
import { alone, lacksRoom, shortOfMemory } from '../nodes/memory-seen.ts';
import { chooseNodes, type NodeQuestion, type Nodes } from '../nodes/node-choice.ts';
import { isRefusal, type Refusal } from '../refusal.ts';
import { isTargetOf } from '../target-pod/ownership.ts';
import type { Observed, PodIdentity } from './types.ts';

interface Accepted {
  readonly nodes: Nodes;
  readonly identity: PodIdentity;
}

/** @returns why not; `NotEnoughMemory` if that is all: what the nodes have changes */
export function validate(observed: Observed): Refusal | Accepted {
  const { request, checkpoint, targetPod, podName, identity } = observed;
  const name = request.spec.checkpointName;
  if (!checkpoint) {
    return {
      reason: 'CheckpointNotFound',
      message: `There is no CheckpointRequest ${name} in this namespace. Create a new request with the name of one that has succeeded.`,
    };
  }
  const { status } = checkpoint;
  if (!isStored(checkpoint) || !status?.podTemplate) {
    return {
      reason: 'CheckpointNotReady',
      message: `CheckpointRequest ${name} has no images: its phase is ${status?.phase ?? 'Pending'}. Create a new request with one that has succeeded.`,
    };
  }
  if (targetPod && !isTargetOf(targetPod, request)) {
    return {
      reason: 'PodNameTaken',
      message: `Pod ${podName} exists already. Delete that pod, or create a new request with another spec.podName.`,
    };
  }
  const nodes = chooseTargets(observed, { wanted: request.spec.targetNodeName });
  if ('reason' in nodes && nodes.reason !== 'NotEnoughMemory') {
    if (nodes.reason !== 'SourceNodeUnavailable') return nodes;
    return { reason: 'CheckpointNodeUnavailable', message: nodes.message };
  }
  if ('reason' in identity) return identity;
  return 'reason' in nodes ? nodes : { nodes, identity };
}

/**
 * A node for a request that is under way.
 * @param isWaiting whether one will do whose memory only other moves keep
 */
export function chooseAnother(
  observed: Observed,
  without: ReadonlySet<string>,
  isWaiting: boolean,
): Nodes | Refusal {
  const memory = isWaiting ? alone(observed.memory) : observed.memory;
  return chooseTargets({ ...observed, memory }, { without });
}

function chooseTargets(
  { request, checkpoint, nodes, load, memory }: Observed,
  among: Pick<NodeQuestion, 'wanted' | 'without'>,
): Nodes | Refusal {
  const { nodeName = '', podTemplate, cpuFeatures, bytes } = checkpoint?.status ?? {};
  // What the images have of it. What the kernel keeps for the pod is not in them.
  const pod = bytes?.pages === undefined ? undefined : { bytes: bytes.pages };
  const { data: scheduling } = PodScheduling.safeParse(podTemplate?.spec);
  const seed = request.metadata.uid;
  const question: NodeQuestion = {
    ...{ nodes, from: nodeName, mayStay: true, ...among, load, seed, scheduling },
    cpuFeatures,
  };
  const lacksMemory = ({ metadata }: Node): string | undefined =>
    lacksRoom(memory, metadata.name, pod);
  const found = chooseNodes({ ...question, lacksMemory });
  if (!isRefusal(found)) return found;
  const roomy = chooseNodes(question);
  return shortOfMemory(found, () => roomy) ?? roomy;
}
