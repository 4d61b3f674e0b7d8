// SPDX-License-Identifier: Apache-2.0
// A pod that its controller finds by its name moves twice: to a landing pod of another name, and from there, by a request
// of its own, to a pod of its own name (docs/adr/0025). Where to, and which request belongs to which. Pure.
import {
  annotations,
  isFinished,
  type MigrationRequest,
  type PodController,
} from '../../../crds/src/index.ts';
import { splitKey, type Node, type Pod } from '../../../kube/src/index.ts';
import {
  chooseNode,
  chooseNodes,
  cpuMisfit,
  firstSaid,
  type NodeQuestion,
  type Nodes,
} from '../nodes/node-choice.ts';
import type { Refusal } from '../refusal.ts';
import { isTargetOf } from '../target-pod/ownership.ts';

/** Whether the request frees a name, which the API server keeps for it: the first of a pod's moves. */
export function isFirstMove({ status }: MigrationRequest): boolean {
  const source = status?.source;
  return source?.controller?.handover === 'ByName' && source.standsInFor === undefined;
}

/**
 * Whether the request makes a landing pod: the first move does, and so does one that brings a landing pod back to its own node
 * under the pod's name (docs/adr/0044).
 */
export function isLandingMove(request: MigrationRequest): boolean {
  const source = request.status?.source;
  if (source?.controller?.handover !== 'ByName') return false;
  return isFirstMove(request) || request.spec.targetNodeName === source.nodeName;
}

/** The name that the pod has in its controller, whatever the pod is called that moves now. */
export const nameOf = ({ spec, status }: MigrationRequest): string =>
  status?.source?.standsInFor ?? spec.podName;

/** The key of the request that made the pod that this one moves on, as it says itself. Anybody may write that. */
export function firstMoveOf(request: MigrationRequest | undefined): string | undefined {
  const { namespace, annotations: written } = request?.metadata ?? {};
  const key = written?.[annotations.migration];
  return key !== undefined && splitKey(key).namespace === namespace ? key : undefined;
}

/** What the pod has in its controller, and which one that is. */
export interface Place {
  readonly name: string;
  readonly controller: PodController;
}

/**
 * The place that a landing pod stands in for, if the request is the one that moves it on.
 * @param first the request that the annotation names
 */
export function placeOf(
  request: MigrationRequest,
  first: MigrationRequest | undefined,
  pod: Pod | undefined,
): Place | undefined {
  if (!first || !pod || !isLandingMove(first) || isFinished(first)) return undefined;
  if (request.metadata.annotations[annotations.requestUid] !== first.metadata.uid) return undefined;
  const { decision, targetAgent, source } = first.status ?? {};
  if (decision?.outcome !== 'Committed' || targetAgent?.state !== 'Running') return undefined;
  if (!isTargetOf(pod, first) || !source?.controller) return undefined;
  return { name: nameOf(first), controller: source.controller };
}

/** Of the same attempt always the same; the request's UID keeps it apart from requests of users. */
export function secondName({ metadata }: MigrationRequest, attempt: number): string {
  const ending = `-${metadata.uid.replaceAll('-', '').slice(0, 8)}-${attempt}`;
  // The definition takes names of 63 characters.
  const base = metadata.name.slice(0, 63 - ending.length).replace(/[^a-z0-9]+$/, '');
  return `${base}${ending}`;
}

/**
 * Nodes for the landing pod, and one where the pod could end. That may be the pod's own, if the user names it; the landing
 * pod's is another one than both. The pod is committed where it lands: only a node from which it could go on will do.
 * Where there is no such node the pod lands on its end, and gets its name by way of its own node (docs/adr/0044): not where
 * one lacks only memory now.
 */
export function chooseLanding(question: NodeQuestion): Landing | Refusal {
  const { from, wanted } = question;
  const idle = chooseNodes(ending(question));
  if ('reason' in idle) return idle;
  const way = wayOver(question, idle);
  if (way) return way;
  const short = nodesShort(question);
  if (short) return noLanding(question, idle[0], short);
  const own = question.nodes.find((one) => one.metadata.name === from);
  const landsThere = (one: Node): boolean =>
    !question.without?.has(one.metadata.name) && own !== undefined && canLeave(one, own);
  const [end, ...others] = wanted === from ? [] : idle.filter(landsThere);
  return end ? { landings: [end, ...others], end } : noLanding(question, idle[0], noNode);
}

interface Landing {
  readonly landings: Nodes;
  readonly end: Node;
}

const ending = (question: NodeQuestion): NodeQuestion => ({
  ...question,
  mayStay: question.wanted === question.from,
});

/** To a further node, and from there to its end. */
function wayOver(question: NodeQuestion, idle: Nodes): Landing | undefined {
  // Of two nodes that are alike one leads to the other: what fails is bounded by the kinds of nodes.
  for (const end of idle) {
    const landings = landingsFor(question, end);
    if (!('reason' in landings)) return { landings, end };
  }
  const all = chooseNodes({ ...ending(question), isBusy: () => false });
  for (const end of 'reason' in all ? [] : all) {
    const landings = idle.includes(end) ? undefined : landingsFor(question, end);
    if (landings && !('reason' in landings)) return { landings, end };
  }
  return undefined;
}

const noNode =
  'No node can take it that it could leave again (CPU features, completion vectors). Add a node with Sealift that can take it.';

function noLanding({ from, wanted }: NodeQuestion, end: Node, cause: string): Refusal {
  const there = end.metadata.name;
  const why =
    wanted === from
      ? `to a further node, and from there back to ${there} under its own name`
      : `to a further node, and from there to ${there} under its own name; or to ${there}, and from there by way of ${from}`;
  return {
    reason: 'NoLandingNode',
    message: `The pod's controller finds it by its name, so it moves more than once: ${why}. ${cause}`,
  };
}

/** For users: the memory for want of which there is no way over a further node. @returns undefined: that is not the cause */
function nodesShort(question: NodeQuestion): string | undefined {
  const { from, nodes, lacksMemory } = question;
  const roomy = { ...question, lacksMemory: undefined };
  const all = lacksMemory ? chooseNodes(ending(roomy)) : undefined;
  if (!all || 'reason' in all || !wayOver(roomy, all)) return undefined;
  const others = nodes.filter(({ metadata }) => metadata.name !== from);
  const short = firstSaid(others, (node) => lacksMemory?.(node));
  if (short === undefined) return undefined;
  return `It needs the memory on both: ${short}. Free memory there, or add a node with Sealift that has it.`;
}

const canLeave = (landing: Node, next: Node): boolean => whyNoWay(landing, next) === undefined;

/** Nodes from which the pod can go on to its end. */
function landingsFor(question: NodeQuestion, end: Node): Nodes | Refusal {
  return chooseNodes({
    ...question,
    wanted: undefined,
    without: new Set([...(question.without ?? []), end.metadata.name]),
    excludes: (node) => question.excludes?.(node) ?? whyNoWay(node, end),
  });
}

function whyNoWay(landing: Node, end: Node): string | undefined {
  const why = cpuMisfit(landing, end);
  return why && `would not let the pod go on to ${end.metadata.name}, which ${why}`;
}

/** The node where the pod is to end. The one that it comes from only if the user names it, or if there is no other. */
export function chooseEnd(question: NodeQuestion, cameFrom: string): Node | Refusal {
  const elsewhere = { ...question, without: new Set([cameFrom]) };
  const found = chooseNode(elsewhere);
  return 'reason' in found ? chooseNode(question) : found;
}
