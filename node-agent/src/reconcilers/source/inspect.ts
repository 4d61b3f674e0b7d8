// SPDX-License-Identifier: Apache-2.0
// A source's dry run: what the agent finds out about the pod, without touching it.
import {
  bandwidthOf,
  podIPConnectionsOf,
  type Inspection,
  type MigrationRequest,
  type PodMemory,
} from '../../../../crds/src/index.ts';
import { startOrder, type RequestLookup } from '../../callers/request-lookup.ts';
import type { PodIp } from '../../node/pod-ip/pod-ip.ts';
import type { Checkpointer } from '../../node/dump/checkpointer.ts';
import type { PodInspector } from '../../node/dump/pod-inspector.ts';
import { reasonOf } from '../../support/errors.ts';
import { isGivenTo } from '../../support/given-addresses.ts';
import { checkBandwidth } from '../bandwidth.ts';
import { peerLimits } from '../peer-limits.ts';
import { podName, podUid } from './journal-entry.ts';

interface Dependencies {
  readonly pods: Pick<RequestLookup, 'getPod'>;
  readonly inspector?: Pick<PodInspector, 'inspect'> | undefined;
  readonly podIp?: Pick<PodIp, 'look'> | undefined;
}

/** @throws what is no finding: ConnectionError, errors of the node */
export async function inspect(
  request: MigrationRequest,
  { pods, inspector, podIp }: Dependencies,
): Promise<Inspection> {
  if (!inspector) throw new Error('this agent has no inspector');
  try {
    const bandwidth = bandwidthOf(request.status?.policy);
    const pod = await pods.getPod(podName(request));
    // Where no node was found, one that keeps addresses is most likely what this node is.
    const isKept =
      request.status?.inspection?.keepsAddresses ?? typeof (await podIp?.look()) === 'object';
    return await inspector.inspect({
      podUid: podUid(request),
      names: startOrder(pod),
      clusterAddresses: isKept ? [] : pod.status.podIPs.map(({ ip }) => ip),
      connections: podIPConnectionsOf(request),
      isGiven: isGivenTo(pod),
      bandwidth,
      checkBandwidth: (leastBytes) => checkBandwidth(request, leastBytes),
      checkPeers: (queuePairs, netns, memoryBytes) =>
        peerLimits(queuePairs, netns, pod.metadata.annotations, {
          timeouts: request.spec.timeouts,
          memoryBytes,
          bandwidth,
        }),
    });
  } catch (error) {
    const { code, message } = reasonOf(error);
    // The pod has gone since the operator saw it.
    if (code !== 'PodNotFound') throw error;
    return { findings: [{ reason: code, message }] };
  }
}

/** @returns undefined: it cannot be told, or the pod has gone */
export async function podMemory(
  request: MigrationRequest,
  { checkpointer }: { readonly checkpointer: Pick<Checkpointer, 'findPod' | 'memory'> },
): Promise<PodMemory | undefined> {
  try {
    return await checkpointer.memory(await checkpointer.findPod(podUid(request)));
  } catch (error) {
    if (reasonOf(error).code !== 'PodNotFound') throw error;
    return undefined;
  }
}
