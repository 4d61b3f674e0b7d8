// SPDX-License-Identifier: Apache-2.0
// What the operator needs to know of this node: the driver's ABI as a label, the agent's address as an annotation.
import { annotations, labels } from '../../../crds/src/index.ts';
import { nodes, type Api, withFaults } from '../../../kube/src/index.ts';

/** Without an ABI the label goes: no pod is moved to this node. */
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
