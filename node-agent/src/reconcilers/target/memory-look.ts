// SPDX-License-Identifier: Apache-2.0
// The last look at this node's memory, while the target waits at its create gate and before its source may be locked. The operator
// has gone by what the agent said with its last renewal; this is what there is now.
import {
  isFinished,
  isGivenUp,
  isRestored,
  lacksMemory,
  type NodeMemory,
  type PodMemory,
} from '../../../../crds/src/index.ts';
import type { Handover } from '../../callers/request-lookup.ts';

export interface MemoryParts {
  readonly nodeName: string;
  /** What the node has now. Absent: nobody asks. */
  readonly memory?: (() => Promise<NodeMemory | undefined>) | undefined;
  /** All requests whose target is on this node. */
  readonly arriving?: (() => readonly Handover[]) | undefined;
  /** Bytes that a pod has here already, by its UID. Absent: none. */
  readonly arrived?: ((podUid: string) => Promise<number>) | undefined;
}

/** @returns why the pod finds too little memory here, for people; undefined: it finds enough, or nobody knows */
export async function memoryRefusal(
  request: Handover,
  { nodeName, memory, arriving, arrived }: MemoryParts,
): Promise<string | undefined> {
  const pod = neededBy(request);
  if (!pod || !memory) return undefined;
  let taken = 0;
  for (const other of arriving?.() ?? []) {
    if (!takesFirst(other, request)) continue;
    const { podUID } = other.status?.target ?? {};
    // What it has already is no longer among what the node has.
    const has = podUID === undefined ? 0 : ((await arrived?.(podUID)) ?? 0);
    taken += Math.max(0, (neededBy(other)?.bytes ?? 0) - has);
  }
  const why = lacksMemory(pod, await memory(), taken);
  return why && `Node ${nodeName} ${why}. Free memory there, or name another node.`;
}

/** As the operator has found it, or what the pod has come to since. */
export function neededBy({ kind, status }: Handover): PodMemory | undefined {
  if (kind !== 'MigrationRequest') return undefined;
  const { target, sourceAgent } = status ?? {};
  const [found, now] = [target?.memory, sourceAgent?.memory];
  return (now?.bytes ?? 0) > (found?.bytes ?? 0) ? now : found;
}

/** Whether the other one's pod is on its way here, and gets the memory before this one. Of two that wait it is the older. */
function takesFirst(other: Handover, request: Handover): boolean {
  const { metadata, status } = other;
  if (metadata.uid === request.metadata.uid || isFinished(other)) return false;
  // A state that nobody waits for is reported late.
  if (status?.decision || isRestored(status?.targetAgent?.state)) return false;
  if (!isComing(other)) return false;
  return status?.deadlines?.blackout !== undefined || order(other) < order(request);
}

/** Not before the operator has found memory for it, or has made the pod; and not a pod that was given up for another node. */
function isComing({ status }: Handover): boolean {
  const { podUID, memory } = status?.target ?? {};
  return podUID === undefined ? memory !== undefined : !isGivenUp(status);
}

const order = ({ metadata }: Handover): string => `${metadata.creationTimestamp} ${metadata.uid}`;
