// SPDX-License-Identifier: Apache-2.0
// The dump of a pod that stands frozen, with what its target has to lend CRIU (docs/adr/0048). The source and a checkpoint call it.
import type { PodIPConnections } from '../../../crds/src/index.ts';
import type { Checkpointer, LocalPod } from '../node/dump/checkpointer.ts';
import type { DumpResult } from '../node/dump/pod-dump.ts';

/** What becomes of TCP at addresses that the pod has in the cluster's network. */
interface Lost {
  /** Those that the target does not get. */
  readonly addresses: readonly string[];
  readonly connections: PodIPConnections;
}

/**
 * @returns `lostConnections`: how many TCP connections end at the addresses
 * @throws AgentError UnsupportedObject: the pod has got a socket there since it was looked at
 */
export async function dumpFrozen(
  checkpointer: Pick<Checkpointer, 'lostOfFrozen' | 'dumpContainers'>,
  pod: LocalPod,
  imageId: string,
  { addresses, connections }: Lost,
  signal: AbortSignal,
): Promise<DumpResult & { readonly lostConnections: number }> {
  const { count, lend } = await checkpointer.lostOfFrozen(pod, addresses, connections);
  const dumped = await checkpointer.dumpContainers(pod, imageId, signal);
  const header = { ...dumped.header, ...(lend.length > 0 && { resets: [...lend] }) };
  return { ...dumped, header, lostConnections: count };
}
