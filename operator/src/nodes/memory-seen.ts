// SPDX-License-Identifier: Apache-2.0
// What the operator knows of the nodes' memory when it decides on a request.
import { lacksMemory, type NodeMemory, type PodMemory } from '../../../crds/src/index.ts';

export interface MemorySeen {
  /** Of a node, some seconds ago; undefined: its agent does not say, as one of an earlier version. */
  of(node: string): NodeMemory | undefined;
  /** Bytes that other requests under way have found there for their pods. As of now, whenever it is asked. */
  taken(node: string): number;
}

/** Why a node has no room for so much memory, as the end of a sentence; undefined: it has, or nobody knows. */
export const lacksRoom = (
  memory: MemorySeen | undefined,
  node: string,
  pod: PodMemory | undefined,
): string | undefined => pod && lacksMemory(pod, memory?.of(node), memory?.taken(node));
