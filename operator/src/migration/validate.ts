// SPDX-License-Identifier: Apache-2.0
// Whether a MigrationRequest can be taken on, and between which places. Pure.
import {
  isFinished,
  peersOf,
  type CheckpointRequest,
  type MigrationRequest,
  type MigrationRequestStatus,
  type Placement,
} from '../../../crds/src/index.ts';
import type { Pod } from '../../../kube/src/index.ts';
import { agentAddress, chooseNode } from '../nodes/node-choice.ts';
import { refusePeers, refusePod, restartsOf } from '../target-pod/pod-rules.ts';
import type { Refusal } from '../requests/refusal.ts';
import { targetName } from '../target-pod/manifest.ts';
import type { Observed } from './types.ts';

interface Accepted {
  readonly source: Placement;
  readonly target: Placement;
  readonly peers: MigrationRequestStatus['peers'];
}

export function validate(observed: Observed, now: number): Refusal | Accepted {
  const { request, sourcePod, nodes, load } = observed;
  const { podName, targetNodeName } = request.spec;
  const refusal = refusePod(sourcePod, podName, now) ?? refuseCompeting(request, observed.others);
  if (refusal) return refusal;
  if (!sourcePod) throw new Error('a missing pod was not refused');
  const impatient = refusePeers(sourcePod, request.spec.timeouts);
  if (impatient) return impatient;
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
      restarts: restartsOf(sourcePod),
    },
    peers: impatientPeers(sourcePod),
    target: {
      nodeName: node.metadata.name,
      podName: targetName(sourcePod, request.metadata.uid),
      agentAddress: agentAddress(node),
    },
  };
}

/** Only those that give up are worth a word. */
function impatientPeers({ metadata }: Pod): MigrationRequestStatus['peers'] {
  const peers = peersOf(metadata.annotations);
  if ('reason' in peers || peers.retryBudgetMs === undefined) return undefined;
  return { ...peers, retryBudgetMs: peers.retryBudgetMs };
}

/** Of several requests for one pod the one already accepted wins, else the oldest. */
export function refuseCompeting(
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
