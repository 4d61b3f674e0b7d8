// SPDX-License-Identifier: Apache-2.0
// Whether a MigrationRequest can be accepted, and from which node to which. Pure.
import {
  peersOf,
  type MigrationRequestStatus,
  type Placement,
  type PodController,
} from '../../../crds/src/index.ts';
import type { Node, Pod } from '../../../kube/src/index.ts';
import { agentAddress, chooseNode } from '../nodes/node-choice.ts';
import { isFull } from '../moves/limits.ts';
import { refuseCompeting } from '../requests/competing-requests.ts';
import type { Refusal } from '../refusal.ts';
import { handoverOf } from '../target-pod/controllers.ts';
import { targetName } from '../target-pod/manifest.ts';
import { refusePeers, refusePod, restartsOf } from '../target-pod/pod-rules.ts';
import type { Observed } from './types.ts';

interface Accepted {
  readonly source: Placement;
  readonly target: Placement;
  readonly peers: MigrationRequestStatus['peers'];
}

export function validate(observed: Observed, now: number): Refusal | Accepted {
  const { request, sourcePod, nodes } = observed;
  const { podName, targetNodeName } = request.spec;
  const refusal = refusePod(sourcePod, podName, now) ?? refuseCompeting(request, observed.others);
  if (refusal) return refusal;
  if (!sourcePod) throw new Error('a missing pod was not refused');
  const peersRefusal = refusePeers(sourcePod, request.spec.timeouts);
  if (peersRefusal) return peersRefusal;
  const controller = handoverOf(sourcePod);
  if (controller && 'reason' in controller) return controller;
  if (controller && request.spec.onSourceLoss !== 'Fail') return refuseRecovery(controller);
  const from = sourcePod.spec.nodeName;
  const node = chooseTarget(observed, sourcePod, targetNodeName);
  if ('reason' in node) return node;
  const sourceNode = nodes.find((one) => one.metadata.name === from);
  return {
    source: {
      nodeName: from,
      podName,
      podUID: sourcePod.metadata.uid,
      agentAddress: sourceNode && agentAddress(sourceNode),
      restarts: restartsOf(sourcePod),
      ...(controller ? { controller } : {}),
    },
    peers: peersWithLimit(sourcePod),
    target: {
      nodeName: node.metadata.name,
      podName: targetName(sourcePod, request.metadata.uid),
      agentAddress: agentAddress(node),
    },
  };
}

const refuseRecovery = ({ kind, name }: PodController): Refusal => ({
  reason: 'PodHasController',
  message: `The pod belongs to ${kind} ${name}, which replaces a pod that is lost; a pod restored from a checkpoint would be one too many. Create a request with spec.onSourceLoss: Fail.`,
});

function chooseTarget(
  { request, nodes, load, moves }: Observed,
  { spec }: Pod,
  wanted: string | undefined,
  without?: ReadonlySet<string>,
): Node | Refusal {
  return chooseNode({
    ...{ nodes, from: spec.nodeName, mayStay: false, wanted, without, load },
    seed: request.metadata.uid,
    isBusy: (name) => isFull(name, moves),
    scheduling: spec,
  });
}

/** A node for a request that is under way; one that takes no more pods for now is none. */
export function chooseAnother(observed: Observed, without: ReadonlySet<string>): Node | Refusal {
  const { sourcePod, moves } = observed;
  const full = observed.nodes.map((one) => one.metadata.name).filter((name) => isFull(name, moves));
  if (!sourcePod) return { reason: 'SourceGone', message: 'The source pod was deleted.' };
  return chooseTarget(observed, sourcePod, undefined, new Set([...without, ...full]));
}

/** Only peers with a retry limit are recorded in the status. */
function peersWithLimit({ metadata }: Pod): MigrationRequestStatus['peers'] {
  const peers = peersOf(metadata.annotations);
  if ('reason' in peers || peers.retryBudgetMs === undefined) return undefined;
  return { ...peers, retryBudgetMs: peers.retryBudgetMs };
}
