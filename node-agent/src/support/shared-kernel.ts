// SPDX-License-Identifier: Apache-2.0
// Nodes that are containers of one machine (kind) have one kernel, and with it one name space of RDMA devices, and one driver.
import { listParsed, nodes, type Api } from '../../../kube/src/index.ts';

/**
 * Whether another node of the cluster has the kernel of this one: the same boot ID.
 * @returns undefined if the API server does not know the boot ID, neither of this node nor of another one
 * @throws the API server's error
 */
export async function sharesKernel(api: Api, nodeName: string): Promise<boolean | undefined> {
  const all = await listParsed(api, nodes);
  const own = all.find((node) => node.metadata.name === nodeName);
  if (!own) return false;
  const { bootID } = own.status.nodeInfo;
  if (!all.some((node) => node !== own && node.status.nodeInfo.bootID === bootID)) return false;
  return bootID === '' ? undefined : true;
}
