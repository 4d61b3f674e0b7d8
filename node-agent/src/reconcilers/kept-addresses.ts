// SPDX-License-Identifier: Apache-2.0
// Which addresses of moved pods this node has to route and to reserve. Pure: it follows from the pods as the API server
// has them and from this agent's journal, so that a restarted agent comes to the same.
import { annotations, labels } from '../../../crds/src/index.ts';
import type { Pod } from '../../../kube/src/index.ts';
import { isCommitted } from '../support/committed.ts';
import { claimedBy, fabricKeptBy, hasEnded, keptBy } from '../support/kept-by.ts';
import { isOver, type Entry } from '../support/journal/journal.ts';

/** Label selector of the pods that have kept their addresses, or are about to. */
export const KEPT = labels.podIp;

export interface KeptPlace {
  readonly podUid: string;
  readonly nodeName: string;
  readonly addresses: readonly string[];
}

/** Pods whose addresses are to be routed to their node. Of two with the same address the newer one has it. */
export function placesOf(pods: readonly Pod[], journal: readonly Entry[]): KeptPlace[] {
  const active = pods
    .filter((pod) => !hasEnded(pod) && isDecided(pod, journal))
    .sort((a, b) => createdAt(b) - createdAt(a));
  const taken = new Set<string>();
  const places: KeptPlace[] = [];
  for (const pod of active) {
    const addresses = keptBy(pod).filter((one) => !taken.has(one));
    for (const one of addresses) taken.add(one);
    if (addresses.length === 0) continue;
    places.push({ podUid: pod.metadata.uid, nodeName: pod.spec.nodeName, addresses });
  }
  return places;
}

/**
 * Addresses that no other pod may get: of moved pods, of targets that are not decided, and of sources that may move. What the
 * operator has written into a pod is enough, as its kubelet may report the addresses late; a reservation that nobody needs
 * costs an address, one that ends too early gives two pods the same.
 */
export function keptAddresses(pods: readonly Pod[], journal: readonly Entry[]): Set<string> {
  return new Set([
    ...pods.filter((pod) => !hasEnded(pod)).flatMap(claimedBy),
    ...movingAddresses(journal),
  ]);
}

/** Addresses of pods of this node that may move away, from before their lock on. */
export const movingAddresses = (journal: readonly Entry[]): string[] =>
  journal
    .filter((one) => one.role === 'source' && !isOver(one))
    .flatMap(({ addresses = [] }) => addresses);

/** The agents of source and target know it before the operator has written the condition. */
export function isDecided(pod: Pod, journal: readonly Entry[]): boolean {
  if (isCommitted(pod)) return true;
  const request = pod.metadata.annotations[annotations.requestUid];
  return journal.some(({ id, decided }) => id === request && decided === 'Committed');
}

/** The same of addresses in the RDMA network. */
export function fabricAddresses(pods: readonly Pod[], journal: readonly Entry[]): Set<string> {
  const moving = journal.filter((one) => one.role === 'source' && !isOver(one));
  return new Set([
    ...pods.filter((pod) => !hasEnded(pod)).flatMap(fabricKeptBy),
    ...moving.flatMap((one) => one.fabricAddresses ?? []),
  ]);
}

const createdAt = ({ metadata }: Pod): number => Date.parse(metadata.creationTimestamp ?? '') || 0;
