// SPDX-License-Identifier: Apache-2.0
// Whether a MigrationRequest can be taken on, and between which places. Pure.
import type { CheckpointRequest, MigrationRequest, Place } from '../../../crds/src/index.ts';
import { isFinished } from '../../../crds/src/index.ts';
import { agentAddress, chooseNode } from '../node-choice.ts';
import { refusePod } from '../pod-rules.ts';
import type { Refusal } from '../refusal.ts';
import { targetName } from '../target-pod.ts';
import type { Observed } from './types.ts';

export function validate(
  observed: Observed,
  now: number,
): Refusal | { source: Place; target: Place } {
  const { request, sourcePod, nodes, load } = observed;
  const { podName, targetNodeName } = request.spec;
  const refusal = refusePod(sourcePod, podName, now) ?? refuseRival(request, observed.others);
  if (refusal) return refusal;
  if (!sourcePod) throw new Error('a missing pod was not refused');
  const from = sourcePod.spec.nodeName;
  const node = chooseNode({ nodes, from, mayStay: false, wanted: targetNodeName, load });
  if ('reason' in node) return node;
  const home = nodes.find((one) => one.metadata.name === from);
  return {
    source: {
      nodeName: from,
      podName,
      podUID: sourcePod.metadata.uid,
      agentAddress: home && agentAddress(home),
    },
    target: {
      nodeName: node.metadata.name,
      podName: targetName(sourcePod, request.metadata.uid),
      agentAddress: agentAddress(node),
    },
  };
}

/** Of several requests for one pod the one already accepted wins, else the oldest. */
export function refuseRival(
  request: MigrationRequest | CheckpointRequest,
  others: readonly (MigrationRequest | CheckpointRequest)[],
): Refusal | undefined {
  const rival = others.find(
    (other) =>
      other.metadata.uid !== request.metadata.uid &&
      !isFinished(other) &&
      (isAccepted(other) || isOlder(other, request)),
  );
  return (
    rival && {
      reason: 'AnotherMigration',
      message: `${rival.kind} ${rival.metadata.name} is at work on this pod; wait until it has finished.`,
    }
  );
}

function isAccepted(request: MigrationRequest | CheckpointRequest): boolean {
  const { status } = request;
  if (!status) return false;
  return 'source' in status
    ? status.source !== undefined
    : 'podUID' in status && status.podUID !== undefined;
}

type Dated = { readonly metadata: { readonly creationTimestamp: string; readonly uid: string } };

function isOlder(a: Dated, b: Dated): boolean {
  const [left, right] = [a.metadata.creationTimestamp, b.metadata.creationTimestamp];
  return left === right ? a.metadata.uid < b.metadata.uid : left < right;
}
