// SPDX-License-Identifier: Apache-2.0
// Registers this node with the operator: the driver's ABI as a label of the Node object, the agent's address as an
// annotation, and what the node lacks as both. main.ts calls it once at the start; the operator chooses target nodes by label
// and address.
import { annotations, labels } from '../../../crds/src/index.ts';
import { nodes, type Api, withFaults } from '../../../kube/src/index.ts';
import type { Failure } from '../support/errors.ts';

/**
 * Merges label and annotation into the Node. Without an ABI the label is removed, and the operator moves no pod to or
 * from this node.
 * @param node `address` is `host:port` of the image receiver; `driverAbi` is for instance `rxe-1`; `problem` is the first
 * thing that the node lacks
 * @throws the API server's error
 */
export async function publishNode(
  api: Api,
  node: {
    name: string;
    address: string;
    driverAbi: string | undefined;
    problem?: Failure | undefined;
  },
): Promise<void> {
  const metadata = {
    labels: {
      [labels.driverAbi]: node.driverAbi ?? null,
      [labels.problem]: node.problem?.code ?? null,
    },
    annotations: {
      [annotations.agentAddress]: node.address,
      [annotations.problem]: node.problem?.message ?? null,
    },
  };
  await withFaults('node.publish', () => api.merge(nodes, '', node.name, { metadata }));
}

/** Takes back what `publishNode` has said. @throws the API server's error */
export async function withdrawNode(api: Api, name: string): Promise<void> {
  const metadata = {
    labels: { [labels.driverAbi]: null, [labels.problem]: null },
    annotations: { [annotations.agentAddress]: null, [annotations.problem]: null },
  };
  await api.merge(nodes, '', name, { metadata });
}
