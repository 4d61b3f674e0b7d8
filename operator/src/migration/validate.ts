// SPDX-License-Identifier: Apache-2.0
// Whether a MigrationRequest can be accepted, and from which node to which. Pure.
import {
  annotations,
  applied,
  peersOf,
  type MigrationRequestStatus,
  type Placement,
  type PodController,
} from '../../../crds/src/index.ts';
import type { Node, Pod } from '../../../kube/src/index.ts';
import { ipamRefusals } from '../networks/ipam.ts';
import { keptAddresses, missingFamily } from '../networks/pod-address.ts';
import { agentAddress, chooseNode, nodeRefusals, type NodeQuestion } from '../nodes/node-choice.ts';
import { emptiedBy } from '../nodes/emptied.ts';
import { isFull } from '../moves/limits.ts';
import { refuseCompeting } from '../requests/competing-requests.ts';
import type { Refusal } from '../refusal.ts';
import { handoverOf } from '../target-pod/controllers.ts';
import { targetName } from '../target-pod/manifest.ts';
import { chooseLanding, isFirstMove, placeOf, type Place } from './landing.ts';
import { podRefusals, refusePeers, restartsOf } from '../target-pod/pod-rules.ts';
import type { Observed } from './types.ts';

interface Accepted {
  readonly source: Placement;
  readonly target: Placement;
  readonly peers: MigrationRequestStatus['peers'];
}

export function validate(observed: Observed): Refusal | Accepted {
  const { request, sourcePod } = observed;
  const controller = sourcePod && controllerIn(observed, sourcePod);
  const [refusal] = refusals(observed, controller);
  if (refusal) return refusal;
  if (!sourcePod || (controller && 'reason' in controller)) {
    throw new Error('a pod that is missing, or whose controller cannot be kept, was not refused');
  }
  const chosen = nodesFor(observed, sourcePod, controller);
  if ('reason' in chosen) return chosen;
  const node = chosen.target;
  const place = placeIn(observed);
  return {
    source: {
      ...sourceOf(observed, sourcePod),
      ...(controller && { controller }),
      ...(place && { standsInFor: place.name }),
    },
    peers: peersWithLimit(sourcePod),
    target: {
      nodeName: node.metadata.name,
      podName: place?.name ?? targetName(sourcePod, request.metadata.uid),
      agentAddress: agentAddress(node),
      ...keptAddresses(sourcePod, observed.nodes, node),
    },
  };
}

/** Of a landing pod: what it stands in for. */
const placeIn = ({ request, firstMove, sourcePod }: Observed): Place | undefined =>
  placeOf(request, firstMove, sourcePod);

/** The node of the target, and the one where the pod ends: another one if the target is a landing pod. */
function nodesFor(
  observed: Observed,
  pod: Pod,
  controller: PodController | undefined,
): { readonly target: Node; readonly end: Node } | Refusal {
  const wanted = observed.request.spec.targetNodeName;
  if (controller?.handover === 'ByName' && !placeIn(observed)) {
    const chosen = chooseLanding({ ...targetQuestion(observed, pod), wanted });
    return 'reason' in chosen ? chosen : { target: chosen.landing, end: chosen.end };
  }
  const target = chooseTarget(observed, pod, wanted);
  return 'reason' in target ? target : { target, end: target };
}

/** Everything about the pod, its peers and its controller that is refused; of a pod that is not there, only that. */
function* refusals(
  observed: Observed,
  controller: PodController | Refusal | undefined,
): Generator<Refusal> {
  const { request, sourcePod, nodeTime, others, volumes, networks } = observed;
  const isLanding = placeIn(observed) !== undefined;
  yield* podRefusals(sourcePod, request.spec.podName, nodeTime, { volumes, isLanding });
  if (!sourcePod) return;
  const wanted = request.metadata.annotations[annotations.podUid];
  if (wanted !== undefined && wanted !== sourcePod.metadata.uid) {
    yield {
      reason: 'PodNotFound',
      message: `The pod that this request was made for is gone (UID ${wanted}); another one has its name.`,
    };
  }
  const more = [
    refuseCompeting(request, others),
    refusePeers(sourcePod, request.spec.timeouts),
    controller && 'reason' in controller ? controller : undefined,
  ];
  yield* more.filter((one) => one !== undefined);
  yield* ipamRefusals(networks ?? new Map());
}

/** Who counts the pod; a refusal if its move would be counted wrongly. */
function controllerIn(observed: Observed, pod: Pod): PodController | Refusal | undefined {
  const { request } = observed;
  const controller = placeIn(observed)?.controller ?? handoverOf(pod);
  if (!controller || 'reason' in controller || request.spec.onSourceLoss === 'Fail')
    return controller;
  return refuseRecovery(controller);
}

const refuseRecovery = ({ kind, name }: PodController): Refusal => ({
  reason: 'PodHasController',
  message: `The pod belongs to ${kind} ${name}, which replaces a pod that is lost; a pod restored from a checkpoint would be one too many. Create a request with spec.onSourceLoss: Fail.`,
});

function chooseTarget(
  observed: Observed,
  pod: Pod,
  wanted: string | undefined,
  without?: ReadonlySet<string>,
): Node | Refusal {
  return chooseNode({ ...targetQuestion(observed, pod), wanted, without });
}

function targetQuestion({ request, nodes, load, moves, policy }: Observed, pod: Pod): NodeQuestion {
  // A node that the user names is the user's decision.
  const isEmptied = request.spec.targetNodeName === undefined ? emptiedBy(policy) : undefined;
  return {
    ...{ nodes, from: pod.spec.nodeName, mayStay: false, load },
    seed: request.metadata.uid,
    isBusy: (name) => isFull(name, moves, policy && applied(policy)),
    scheduling: pod.spec,
    excludes: (node) => missingFamily(pod, nodes, node) ?? isEmptied?.(node),
  };
}

/** How many nodes a dry run speaks of. */
const mostNodes = 16;

/**
 * For a dry run: everything that `validate` would refuse, and the node that it would choose. Where there is none, why not
 * each of the first nodes.
 */
export function validateAll(observed: Observed): {
  readonly findings: Refusal[];
  readonly target?: Node;
} {
  const { request, sourcePod } = observed;
  const { targetNodeName } = request.spec;
  const controller = sourcePod && controllerIn(observed, sourcePod);
  const findings = [...refusals(observed, controller)];
  if (!sourcePod) return { findings };
  const known = controller && 'reason' in controller ? undefined : controller;
  const chosen = nodesFor(observed, sourcePod, known);
  if (!('reason' in chosen)) return { findings, target: chosen.end };
  findings.push(chosen);
  if (targetNodeName === undefined) {
    findings.push(...nodeRefusals(targetQuestion(observed, sourcePod)).slice(0, mostNodes));
  }
  return { findings };
}

/** The pod that runs now, as the request's status has it. */
export function sourceOf({ nodes }: Pick<Observed, 'nodes'>, pod: Pod): Placement {
  const { nodeName } = pod.spec;
  const node = nodes.find((one) => one.metadata.name === nodeName);
  return {
    nodeName,
    podName: pod.metadata.name,
    podUID: pod.metadata.uid,
    agentAddress: node && agentAddress(node),
    restarts: restartsOf(pod),
  };
}

/** A node for a request that is under way; one that takes no more pods for now is none. */
export function chooseAnother(observed: Observed, without: ReadonlySet<string>): Node | Refusal {
  const { sourcePod, moves, request } = observed;
  const full = observed.nodes
    .map((one) => one.metadata.name)
    .filter((name) => isFull(name, moves, request.status?.policy));
  if (!sourcePod) return { reason: 'SourceGone', message: 'The source pod was deleted.' };
  const others = new Set([...without, ...full]);
  if (!isFirstMove(request)) return chooseTarget(observed, sourcePod, undefined, others);
  const chosen = chooseLanding({ ...targetQuestion(observed, sourcePod), without: others });
  return 'reason' in chosen ? chosen : chosen.landing;
}

/** Addresses that the source keeps on a node that was chosen later. */
export function addressesOn(
  { sourcePod, nodes }: Pick<Observed, 'sourcePod' | 'nodes'>,
  node: Node,
): Pick<Placement, 'podIPs'> {
  return sourcePod ? keptAddresses(sourcePod, nodes, node) : {};
}

/** Only peers with a retry limit are recorded in the status. */
function peersWithLimit({ metadata }: Pod): MigrationRequestStatus['peers'] {
  const peers = peersOf(metadata.annotations);
  if ('reason' in peers || peers.retryBudgetMs === undefined) return undefined;
  return { ...peers, retryBudgetMs: peers.retryBudgetMs };
}
