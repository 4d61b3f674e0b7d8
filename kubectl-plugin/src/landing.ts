// SPDX-License-Identifier: Apache-2.0
// A StatefulSet's pod moves twice, by way of a landing pod on a further node (docs/adr/0025). Says before a request is made if there
// are too few nodes for that. The operator decides; it also knows what else keeps a node from taking the pod.
import { labels } from '../../crds/src/index.ts';
import { isNodeReady, type Node, type Pod } from '../../kube/src/index.ts';

/** The set that finds the pod by its name. */
export const statefulSetOf = ({ metadata }: Pod): string | undefined =>
  metadata.ownerReferences.find(
    ({ apiVersion = '', kind, controller }) =>
      controller === true && kind === 'StatefulSet' && apiVersion.startsWith('apps/'),
  )?.name;

/**
 * @param to the node where the pod is to end; undefined: any
 * @returns why the pod cannot move, and what to do; undefined: it may, or nothing is known of its node
 */
export function lacksLanding(
  pod: Pod,
  nodes: readonly Node[],
  to: string | undefined,
): string | undefined {
  const set = statefulSetOf(pod);
  const own = pod.spec.nodeName;
  const abi = nodes.find(({ metadata }) => metadata.name === own)?.metadata.labels[
    labels.driverAbi
  ];
  if (set === undefined || abi === undefined) return undefined;
  const able = nodes
    .filter((one) => one.metadata.labels[labels.driverAbi] === abi)
    .filter((one) => isNodeReady(one) && !one.spec.unschedulable)
    .map((one) => one.metadata.name)
    .filter((name) => name !== own);
  const landing = able.filter((name) => name !== to);
  const needed = to === undefined ? 2 : 1;
  if (landing.length >= needed) return undefined;
  const there = able.length === 0 ? 'there is none' : `there is only ${able.join(', ')}`;
  const back =
    able.length > 0 && to !== own
      ? ` With two nodes the pod can only come back to its own one, by way of the other: --to ${own}.`
      : '';
  return `Pod ${pod.metadata.name} belongs to StatefulSet ${set}: it keeps its name, and so it moves twice, to a landing pod on one node and from there to its own name on another. Besides its node ${own}${to === undefined || to === own ? '' : ` and ${to}`}, nodes are needed with driver ${abi} that are Ready and not cordoned; ${there}.${back} Else add a node with Sealift. Nothing was changed.`;
}
