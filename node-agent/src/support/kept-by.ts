// SPDX-License-Identifier: Apache-2.0
// The addresses that a moved pod has kept, as far as they can be believed. Pure.
import { isIP } from 'node:net';
import { z } from 'zod';
import { annotations, labels } from '../../../crds/src/index.ts';
import type { Pod } from '../../../kube/src/index.ts';

/**
 * What the operator has written and the kubelet reports. Routes of all nodes follow it, so neither is enough: a user may change
 * annotations of a pod, and a node the status of its pods. A node may make mirror pods, with any annotations.
 */
export function keptBy(pod: Pod): string[] {
  if (!isMarked(pod)) return [];
  const written = new Set(writtenOn(pod));
  return reportedOf(pod).filter((ip) => written.has(ip));
}

/** What the pod has if either of the two is right. Nothing is routed by it. */
export function claimedBy(pod: Pod): string[] {
  return isMarked(pod) ? [...new Set([...writtenOn(pod), ...reportedOf(pod)])] : [];
}

/** Its sandbox is gone, or goes. */
export const hasEnded = ({ status }: Pod): boolean =>
  status.phase === 'Succeeded' || status.phase === 'Failed';

const isMarked = ({ metadata }: Pod): boolean =>
  metadata.labels[labels.podIp] !== undefined && !(annotations.mirror in metadata.annotations);

const writtenOn = ({ metadata }: Pod): string[] =>
  (metadata.annotations[annotations.podIp] ?? '').split(',').filter((one) => one !== '');

const reportedOf = ({ status }: Pod): string[] => status.podIPs.map(({ ip }) => ip);

/** The addresses of a moved pod in its RDMA network. Only the operator writes them: no route follows them, only reservations. */
export function fabricKeptBy({ metadata }: Pod): string[] {
  if (metadata.labels[labels.fabricIp] === undefined || annotations.mirror in metadata.annotations)
    return [];
  return (metadata.annotations[annotations.fabricIp] ?? '')
    .split(',')
    .filter((ip) => isIP(ip) !== 0);
}

const networkStatus = z.array(
  z.looseObject({ default: z.boolean().default(false), ips: z.array(z.string()).default([]) }),
);

/** The addresses of any pod in its further networks, as Multus has reported them. */
export function furtherAddresses({ metadata }: Pod): string[] {
  try {
    const text = metadata.annotations[annotations.networkStatus] ?? '[]';
    const states = networkStatus.safeParse(JSON.parse(text)).data ?? [];
    return states.filter((one) => !one.default).flatMap(({ ips }) => ips);
  } catch {
    return [];
  }
}
