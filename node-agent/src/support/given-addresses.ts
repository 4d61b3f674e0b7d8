// SPDX-License-Identifier: Apache-2.0
// Which addresses in the RDMA network are a pod's own. Pure.
import { annotations } from '../../../crds/src/index.ts';
import type { Pod } from '../../../kube/src/index.ts';
import { fabricKeptBy, furtherAddresses } from './kept-by.ts';

const ADDING = /^(CAP_)?(NET_ADMIN|ALL)$/i;

type PodContainer = Pod['spec']['containers'][number];

/** Whether a process of the container may have changed the addresses of the pod's interfaces. */
function mayChange({ securityContext }: PodContainer): boolean {
  const { privileged, capabilities } = securityContext ?? {};
  return privileged === true || (capabilities?.add ?? []).some((one) => ADDING.test(one));
}

/**
 * Whether an address is one that the pod's networks have given it, or that it could have added itself. Others have been added
 * from outside, and nobody says that they are the pod's. A pod that has moved here has what its source had: its init containers are
 * not there any more. Where Multus has reported no address, nothing is known, and all are the pod's.
 */
export function isGivenTo(pod: Pod): (address: string) => boolean {
  const known = furtherAddresses(pod);
  const { containers, initContainers } = pod.spec;
  const hasMoved = pod.metadata.annotations[annotations.requestUid] !== undefined;
  if (known.length === 0 || hasMoved || [...containers, ...initContainers].some(mayChange)) {
    return () => true;
  }
  const given = new Set([...known, ...fabricKeptBy(pod)]);
  return (address) => given.has(address);
}
