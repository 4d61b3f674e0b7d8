// SPDX-License-Identifier: Apache-2.0
// What the operator knows of the nodes' memory when it decides on a request.
import {
  agentLease,
  lacksMemory,
  type NodeMemory,
  type PodMemory,
} from '../../../crds/src/index.ts';
import type { Node } from '../../../kube/src/index.ts';
import { isRefusal, type Refusal } from '../refusal.ts';

/** Two renewals of the Lease with which a node's agent says it: one may have been on its way. */
export const staleMs = 2 * agentLease.renewSeconds * 1000;

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

/** The same as a question about any node. The pod's own has the memory already, and gets it back before the pod comes back to it. */
export const lacksRoomBeside =
  (memory: MemorySeen | undefined, own: string, pod: PodMemory | undefined) =>
  ({ metadata }: Node): string | undefined =>
    metadata.name === own ? undefined : lacksRoom(memory, metadata.name, pod);

/** As if no other move were under way. */
export const alone = (memory: MemorySeen | undefined): MemorySeen | undefined =>
  memory && { ...memory, taken: () => 0 };

/** @param roomy what would be found if every node had the memory. @returns a refusal for want of memory alone */
export function shortOfMemory(
  found: object | Refusal,
  roomy: () => object | Refusal,
): Refusal | undefined {
  if (!isRefusal(found) || isRefusal(roomy())) return undefined;
  return { reason: 'NotEnoughMemory', message: found.message };
}
