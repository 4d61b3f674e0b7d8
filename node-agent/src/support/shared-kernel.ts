// SPDX-License-Identifier: Apache-2.0
// Nodes that are containers of one machine (kind) have one kernel, and with it one name space of RDMA devices, and one driver.
import { nodes, unlessNotFound, visit, type Api } from '../../../kube/src/index.ts';

/**
 * Whether another node of the cluster has the kernel of this one: the same boot ID.
 * @returns undefined if the API server does not know the boot ID, neither of this node nor of another one
 * @throws the API server's error
 */
export async function sharesKernel(api: Api, nodeName: string): Promise<boolean | undefined> {
  const own = await unlessNotFound(api.get(nodes, '', nodeName));
  if (!own) return false;
  const { bootID } = own.status.nodeInfo;
  let isShared = false;
  await visit(api, nodes, {}, ({ metadata, status }) => {
    if (metadata.name !== nodeName && status.nodeInfo.bootID === bootID) isShared = true;
  });
  if (!isShared) return false;
  return bootID === '' ? undefined : true;
}
