// SPDX-License-Identifier: Apache-2.0
// Whether a MigrationRequest can be accepted, and from which node to which. Pure.
import {
  annotations,
  applied,
  peersOf,
  type MigrationRequestStatus,
  type Placement,
  type PodController,
  type TargetPlacement,
} from '../../../crds/src/index.ts';
import type { Node, Pod } from '../../../kube/src/index.ts';
import { ipamRefusals } from '../networks/ipam.ts';
import { keptAddresses, missingFamily, podNetworkOf } from '../networks/pod-address.ts';
import {
  agentAddress,
  chooseNodes,
  nodeRefusals,
  type NodeQuestion,
  type Nodes,
} from '../nodes/node-choice.ts';
import { lacksRoomBeside, shortOfMemory } from '../nodes/memory-seen.ts';
import { emptiedBy } from '../nodes/emptied.ts';
import { withoutPlacement } from '../nodes/fitness.ts';
import { holdsMs, isFull, mayBeFull } from '../moves/limits.ts';
import { refuseCompeting } from '../requests/competing-requests.ts';
import { placementOn } from '../requests/handover.ts';
import { isRefusal, type Refusal } from '../refusal.ts';
import { handoverOf } from '../target-pod/controllers.ts';
import { lacksHostName, specWithHostName } from '../target-pod/host-name.ts';
import { targetName } from '../target-pod/manifest.ts';
import { chooseLanding, isLandingMove, placeOf, type Place } from './landing.ts';
import { podRefusals, refusePeers, restartsOf } from '../target-pod/pod-rules.ts';
import type { Observed } from './types.ts';

interface Accepted {
  readonly source: Placement;
  readonly target: TargetPlacement;
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
  const place = placeIn(observed);
  const lands = isToLand(observed, sourcePod, controller);
  return {
    source: {
      ...sourceOf(observed, sourcePod),
      ...(controller && { controller }),
      ...(place && { standsInFor: place.name }),
    },
    peers: peersWithLimit(sourcePod),
    target: {
      podName: (!lands && place?.name) || targetName(sourcePod, request.metadata.uid),
      ...placementOn(chosen.targets),
      ...addressesOn(observed, chosen.targets),
    },
  };
}

/** Of a landing pod: what it stands in for. */
const placeIn = ({ request, firstMove, sourcePod }: Observed): Place | undefined =>
  placeOf(request, firstMove, sourcePod);

/** Whether the target is a landing pod: of a pod that has its name, or that is to get it where it is. */
const isToLand = (
  observed: Observed,
  { spec }: Pod,
  controller: PodController | undefined,
): boolean =>
  controller?.handover === 'ByName' &&
  (!placeIn(observed) || observed.request.spec.targetNodeName === spec.nodeName);

/** Nodes for the target, and one where the pod ends: another one if the target is a landing pod. */
function nodesFor(
  observed: Observed,
  pod: Pod,
  controller: PodController | undefined,
): { readonly targets: Nodes; readonly end: Node } | Refusal {
  const wanted = observed.request.spec.targetNodeName;
  if (isToLand(observed, pod, controller)) {
    const chosen = chooseLanding({ ...targetQuestion(observed, pod), wanted });
    if ('reason' in chosen) return chosen;
    return { targets: alike(observed, pod, chosen.landings), end: chosen.end };
  }
  const targets = chooseTargets(observed, pod, wanted);
  if ('reason' in targets) return targets;
  return { targets, end: targets[0] };
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

function chooseTargets(
  observed: Observed,
  pod: Pod,
  wanted: string | undefined,
  without?: ReadonlySet<string>,
): Nodes | Refusal {
  const nodes = chooseNodes({ ...targetQuestion(observed, pod), wanted, without });
  return 'reason' in nodes ? nodes : alike(observed, pod, nodes);
}

/** A pod has its addresses, or asks for new ones, before it has a node: those nodes where that is as on the first. */
function alike({ nodes: all }: Observed, pod: Pod, [first, ...others]: Nodes): Nodes {
  const networkOn = (node: Node): string | undefined =>
    keptAddresses(pod, all, node).podIPs && podNetworkOf(node);
  const wanted = networkOn(first);
  return [first, ...others.filter((node) => networkOn(node) === wanted)];
}

function targetQuestion(observed: Observed, pod: Pod): NodeQuestion {
  const { request, nodes, load, moves, policy, memory } = observed;
  const { memory: needed } = request.status?.sourceAgent ?? {};
  const isTaken = (moves.stalledMs ?? 0) >= holdsMs ? mayBeFull : isFull;
  const named = specWithHostName(pod);
  // A node that the user names is the user's decision.
  const isEmptied = request.spec.targetNodeName === undefined ? emptiedBy(policy) : undefined;
  return {
    ...{ nodes, from: pod.spec.nodeName, mayStay: false, load },
    seed: request.metadata.uid,
    isBusy: (name) => isTaken(name, moves, policy && applied(policy)),
    scheduling: withoutPlacement(pod),
    excludes: (node) =>
      missingFamily(pod, nodes, node) ?? lacksHostName(named, node) ?? isEmptied?.(node),
    lacksMemory: lacksRoomBeside(memory, pod.spec.nodeName, needed),
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

/**
 * A node for a request that is under way; one that takes no more pods for now is none.
 * @param isWaiting whether one that others may get instead will do
 */
export function chooseAnother(
  observed: Observed,
  without: ReadonlySet<string>,
  isWaiting: boolean,
): Nodes | Refusal {
  const isTaken = isWaiting ? isFull : mayBeFull;
  const { sourcePod, moves, request } = observed;
  const full = observed.nodes
    .map((one) => one.metadata.name)
    .filter((name) => isTaken(name, moves, request.status?.policy));
  if (!sourcePod) return { reason: 'SourceGone', message: 'The source pod was deleted.' };
  const others = new Set([...without, ...full]);
  if (!isLandingMove(request)) return chooseTargets(observed, sourcePod, undefined, others);
  // It ends on the node that the user names, wherever it lands.
  const wanted = request.spec.targetNodeName;
  const chosen = chooseLanding({ ...targetQuestion(observed, sourcePod), wanted, without: others });
  return 'reason' in chosen ? chosen : alike(observed, sourcePod, chosen.landings);
}

/**
 * Once the source's agent has said how much memory the pod has.
 * @returns why no node can take it, if it could but for that
 */
export function memoryRefusal(
  observed: Observed,
  without: ReadonlySet<string> = new Set(),
): Refusal | undefined {
  const { request, sourcePod } = observed;
  if (!sourcePod) return undefined;
  const wanted = request.spec.targetNodeName;
  const choose = (seen: Observed): object | Refusal => {
    const question = { ...targetQuestion(seen, sourcePod), wanted, without };
    return isLandingMove(request) ? chooseLanding(question) : chooseNodes(question);
  };
  return shortOfMemory(choose(observed), () => choose({ ...observed, memory: undefined }));
}

/** For a dry run, the same; and which node it would be now. */
export function placeWithMemory(observed: Observed): Refusal | Node | undefined {
  const { sourcePod } = observed;
  const controller = sourcePod && controllerIn(observed, sourcePod);
  if (!sourcePod) return undefined;
  const choose = (seen: Observed): { readonly end: Node } | Refusal =>
    nodesFor(seen, sourcePod, controller && 'reason' in controller ? undefined : controller);
  const found = choose(observed);
  if (!isRefusal(found)) return found.end;
  return shortOfMemory(found, () => choose({ ...observed, memory: undefined }));
}

/** Addresses that the source keeps on nodes that are alike in that. */
export function addressesOn(
  { sourcePod, nodes }: Pick<Observed, 'sourcePod' | 'nodes'>,
  [first]: Nodes,
): Pick<Placement, 'podIPs'> {
  return sourcePod ? keptAddresses(sourcePod, nodes, first) : {};
}

/** Only peers with a retry limit are recorded in the status. */
function peersWithLimit({ metadata }: Pod): MigrationRequestStatus['peers'] {
  const peers = peersOf(metadata.annotations);
  if ('reason' in peers || peers.retryBudgetMs === undefined) return undefined;
  return { ...peers, retryBudgetMs: peers.retryBudgetMs };
}
