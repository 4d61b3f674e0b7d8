// SPDX-License-Identifier: Apache-2.0
// A source's dry run: what the agent finds out about the pod, without touching it.
import type { Inspection, MigrationRequest } from '../../../../crds/src/index.ts';
import { startOrder, type RequestLookup } from '../../callers/request-lookup.ts';
import type { PodInspector } from '../../node/dump/pod-inspector.ts';
import { reasonOf } from '../../support/errors.ts';
import { peerLimits } from '../peer-limits.ts';
import { podName, podUid } from './journal-entry.ts';

interface Dependencies {
  readonly pods: Pick<RequestLookup, 'getPod'>;
  readonly inspector?: Pick<PodInspector, 'inspect'> | undefined;
}

/** @throws what is no finding: ConnectionError, errors of the node */
export async function inspect(
  request: MigrationRequest,
  { pods, inspector }: Dependencies,
): Promise<Inspection> {
  if (!inspector) throw new Error('this agent has no inspector');
  try {
    const pod = await pods.getPod(podName(request));
    return await inspector.inspect({
      podUid: podUid(request),
      names: startOrder(pod),
      clusterAddresses: pod.status.podIPs.map(({ ip }) => ip),
      checkPeers: (queuePairs, netns) =>
        peerLimits(queuePairs, netns, pod.metadata.annotations, {
          timeouts: request.spec.timeouts,
        }),
    });
  } catch (error) {
    const { code, message } = reasonOf(error);
    // The pod has gone since the operator saw it.
    if (code !== 'PodNotFound') throw error;
    return { findings: [{ reason: code, message }] };
  }
}
