// SPDX-License-Identifier: Apache-2.0
// Whether a pod keeps its addresses in the cluster's network (docs/adr/0023). Pure.
import { isIP } from 'node:net';
import { annotations, type Placement } from '../../../crds/src/index.ts';
import type { Node, Pod } from '../../../kube/src/index.ts';

/** `<namespace>/<name>` of the network by which pods that move to a node keep their addresses; undefined: they do not. */
export const podNetworkOf = (node: Node | undefined): string | undefined =>
  node?.metadata.annotations[annotations.podNetwork];

/** The addresses that a pod keeps if it moves to the node; none where it gets others. */
export function keptAddresses(
  pod: Pod,
  nodes: readonly Node[],
  target: Node,
): Pick<Placement, 'podIPs'> {
  const source = podNetworkOf(nodes.find((one) => one.metadata.name === pod.spec.nodeName));
  if (source === undefined || podNetworkOf(target) === undefined) return {};
  const own = pod.metadata.annotations[annotations.defaultNetwork];
  // Another network than the cluster's own: the agents know nothing of it.
  if (own !== undefined && own !== source) return {};
  const { podIPs } = pod.status;
  return podIPs.length > 0 ? { podIPs: podIPs.map(({ ip }) => ({ ip })) } : {};
}

/**
 * Of nodes on which a pod was to keep its addresses those that still can, all by one network. A node may have been deleted, or
 * have lost its network, since it was chosen.
 */
export function nodesKeeping(
  nodes: readonly Node[],
  names: readonly string[],
): { readonly network: string; readonly nodeNames: readonly string[] } | undefined {
  const networks = new Map(nodes.map((node) => [node.metadata.name, podNetworkOf(node)]));
  const network = names.map((name) => networks.get(name)).find((one) => one !== undefined);
  if (network === undefined) return undefined;
  return { network, nodeNames: names.filter((name) => networks.get(name) === network) };
}

/**
 * Why a pod cannot keep all its addresses on a node that keeps addresses, as the end of a sentence; undefined: it can, or gets
 * others there.
 */
export function missingFamily(pod: Pod, nodes: readonly Node[], target: Node): string | undefined {
  const { podIPs = [] } = keptAddresses(pod, nodes, target);
  const families = target.metadata.annotations[annotations.podNetworkFamilies]?.split(',');
  if (!families) return undefined;
  for (const { ip } of podIPs) {
    const family = `IPv${isIP(ip)}`;
    if (families.includes(family)) continue;
    return `gives pods no ${family} address in the cluster's network, so the pod cannot keep ${ip} there`;
  }
  return undefined;
}
