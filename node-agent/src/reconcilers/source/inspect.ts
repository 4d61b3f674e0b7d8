// SPDX-License-Identifier: Apache-2.0
// A source's dry run: what the agent finds out about the pod, without touching it.
import type { Finding, Inspection, MigrationRequest } from '../../../../crds/src/index.ts';
import type { Pod } from '../../../../kube/src/index.ts';
import { startOrder, type RequestLookup } from '../../callers/request-lookup.ts';
import type { Checkpointer } from '../../node/dump/checkpointer.ts';
import type { PodInspector } from '../../node/dump/pod-inspector.ts';
import { AgentError, reasonOf } from '../../support/errors.ts';
import { peerLimits } from '../peer-limits.ts';
import { podName, podUid } from './journal-entry.ts';

interface Dependencies {
  readonly pods: Pick<RequestLookup, 'getPod'>;
  readonly checkpointer: Pick<Checkpointer, 'findPod' | 'firstPeerToGiveUp'>;
  readonly inspector?: Pick<PodInspector, 'inspect'> | undefined;
}

/** @throws what is no finding: ConnectionError, errors of the node */
export async function inspect(
  request: MigrationRequest,
  { pods, inspector, checkpointer }: Dependencies,
): Promise<Inspection> {
  if (!inspector) throw new Error('this agent has no inspector');
  try {
    const pod = await pods.getPod(podName(request));
    const inspection = await inspector.inspect({
      podUid: podUid(request),
      names: startOrder(pod),
      clusterAddresses: pod.status.podIPs.map(({ ip }) => ip),
    });
    const more = await peerFinding(request, pod, checkpointer);
    return more ? { ...inspection, findings: [...inspection.findings, more] } : inspection;
  } catch (error) {
    const { code, message } = reasonOf(error);
    // The pod has gone since the operator saw it.
    if (code !== 'PodNotFound') throw error;
    return { findings: [{ reason: code, message }] };
  }
}

/** Peers that stop retrying before any move could end. */
async function peerFinding(
  request: MigrationRequest,
  { metadata }: Pod,
  checkpointer: Dependencies['checkpointer'],
): Promise<Finding | undefined> {
  try {
    const found = await checkpointer.findPod(podUid(request));
    await peerLimits(checkpointer, found, metadata.annotations, {
      accepted: request.status?.peers,
      timeouts: request.spec.timeouts,
    });
    return undefined;
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    // The inspector has named these.
    if (error.code === 'DriverMissing' || error.code === 'PodNotFound') return undefined;
    return { reason: error.code, message: error.message };
  }
}
