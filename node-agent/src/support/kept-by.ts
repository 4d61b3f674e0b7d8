// SPDX-License-Identifier: Apache-2.0
// The addresses that a moved pod has kept, as far as they can be believed. Pure.
import { annotations, labels } from '../../../crds/src/index.ts';
import type { Pod } from '../../../kube/src/index.ts';

/**
 * What the operator has written and the kubelet reports. Routes of all nodes follow it, so neither is enough: a user may change
 * annotations of a pod, and a node the status of its pods. A node may make mirror pods, with any annotations.
 */
export function keptBy({ metadata, status }: Pod): string[] {
  if (metadata.labels[labels.podIp] === undefined || annotations.mirror in metadata.annotations)
    return [];
  const written = new Set((metadata.annotations[annotations.podIp] ?? '').split(','));
  return status.podIPs.map(({ ip }) => ip).filter((ip) => written.has(ip));
}
