// SPDX-License-Identifier: Apache-2.0
// Registers this node with the operator: the driver's ABI as a label of the Node object, the agent's address as an
// annotation. main.ts calls it once at the start; the operator chooses target nodes by both.
import { annotations, labels } from '../../../crds/src/index.ts';
import { nodes, type Api, withFaults } from '../../../kube/src/index.ts';

/**
 * Merges label and annotation into the Node. Without an ABI the label is removed, and the operator moves no pod to or
 * from this node.
 * @param node `address` is `host:port` of the image receiver; `driverAbi` is for instance `rxe-2`
 * @throws the API server's error
 */
export async function publishNode(
  api: Api,
  node: { name: string; address: string; driverAbi: string | undefined },
): Promise<void> {
  const metadata = {
    labels: { [labels.driverAbi]: node.driverAbi ?? null },
    annotations: { [annotations.agentAddress]: node.address },
  };
  await withFaults('node.publish', () => api.merge(nodes, '', node.name, { metadata }));
}
