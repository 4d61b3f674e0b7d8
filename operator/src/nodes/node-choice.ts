// SPDX-License-Identifier: Apache-2.0
// Which node a pod can be created on. Pure.
import { createHash } from 'node:crypto';
import {
  annotations,
  lacksFeatures,
  lacksVectors,
  labels,
  mostCandidates,
} from '../../../crds/src/index.ts';
import { isNodeReady, type Node } from '../../../kube/src/index.ts';
import { unfit, type Scheduling } from './fitness.ts';
import { hostOf } from '../host-pins.ts';
import type { Refusal } from '../refusal.ts';

export interface NodeQuestion {
  readonly nodes: readonly Node[];
  /** The node that the pod runs on, or that stores the checkpoint. */
  readonly from: string;
  /** Whether that node may be chosen: for a restore it may, for a migration not. */
  readonly mayStay: boolean;
  readonly wanted?: string | undefined;
  /** Names of nodes that are not to be chosen. */
  readonly without?: ReadonlySet<string> | undefined;
  /** Pods that are arriving at a node. */
  readonly load: ReadonlyMap<string, number>;
  /** Spreads requests over nodes that are equally good; the same seed always gives the same order. */
  readonly seed?: string;
  /** What the pod asks of its node. Absent: nothing. */
  readonly scheduling?: Scheduling | undefined;
  /** Why a node cannot have the pod for another reason, as the end of a sentence; undefined: it can. */
  readonly excludes?: ((node: Node) => string | undefined) | undefined;
  /** Why a node has too little memory for the pod now, as the end of a sentence; undefined: it has enough, or nobody knows. */
  readonly lacksMemory?: ((node: Node) => string | undefined) | undefined;
  /** CPU features of the node that the images were made on. Absent: those that the pod's node has now. */
  readonly cpuFeatures?: string | undefined;
  /** Whether a node takes no more pods for now: then another one is chosen, if there is one. */
  readonly isBusy?: (node: string) => boolean;
}

/** @returns the node to use, or why there is none. */
export function chooseNode(question: NodeQuestion): Node | Refusal {
  const nodes = chooseNodes(question);
  return 'reason' in nodes ? nodes : nodes[0];
}

/** One at least, the best first. */
export type Nodes = readonly [Node, ...Node[]];

/**
 * The scheduler chooses among them: room, priorities, preemption and what pods ask of each other are its own.
 * @returns the wanted node alone, or all that fit and are not busy, `mostCandidates` at most; or why there is none
 */
export function chooseNodes(question: NodeQuestion): Nodes | Refusal {
  const { nodes, from, wanted } = question;
  const source = nodes.find((node) => node.metadata.name === from);
  const abi = source?.metadata.labels[labels.driverAbi];
  if (source && !isNodeReady(source)) {
    return {
      reason: 'SourceNodeUnavailable',
      message: `Node ${from} is not Ready. Create a new request when it is.`,
    };
  }
  if (!source || abi === undefined || agentAddress(source) === undefined) {
    return {
      reason: 'SourceNodeUnavailable',
      message: `Node ${from} has no working Sealift agent: it lacks the label ${labels.driverAbi} or the annotation ${annotations.agentAddress}, or the agent has stopped renewing its Lease. See the agent's pod on that node.`,
    };
  }
  if (wanted !== undefined) {
    const checked = checkWanted(question, wanted, abi);
    return 'reason' in checked ? checked : [checked];
  }
  const candidates = nodes
    .filter((node) => question.mayStay || node !== source)
    .filter((node) => !question.without?.has(node.metadata.name))
    .filter((node) => isUsable(node, abi) && misfit(node, question) === undefined)
    .sort(
      (a, b) =>
        busy(question, a) - busy(question, b) ||
        load(question, a) - load(question, b) ||
        compare(a, b, question),
    );
  const [best, ...others] = candidates;
  if (!best) return noCandidate(question, abi);
  // Where every node is busy, one of them stands for all: the request waits for it.
  if (busy(question, best) > 0) return [best];
  const idle = others.filter((node) => busy(question, node) === 0);
  return [best, ...idle.slice(0, mostCandidates - 1)];
}

/** For users: what is said of the first node of which something is, and how many more there are. */
export function firstSaid(
  nodes: readonly Node[],
  say: (node: Node) => string | undefined,
): string | undefined {
  const said = nodes.flatMap((node) => {
    const why = say(node);
    return why === undefined ? [] : [`node ${node.metadata.name} ${why}`];
  });
  const [first] = said;
  return said.length > 1 ? `${first}, and ${said.length - 1} more are like it` : first;
}

function noCandidate(question: NodeQuestion, abi: string): Refusal {
  const { nodes, from, mayStay, without } = question;
  const others = nodes
    .filter((node) => (mayStay || node.metadata.name !== from) && isUsable(node, abi))
    .filter((node) => !without?.has(node.metadata.name))
    .filter((node) => unable(node, question) === undefined);
  const first = firstSaid(others, (node) => excluded(node, question));
  const message = first
    ? `No node can have the pod: ${first}.`
    : `No${mayStay ? '' : ' other'} node is Ready, schedulable for the pod (taints, nodeSelector, node affinity), has the CPU features and completion vectors of node ${from} and the label ${labels.driverAbi}=${abi}. Install Sealift with that driver on another node, or wait until one is Ready.`;
  return { reason: 'NoCompatibleNode', message };
}

/** Why each node but the pod's own cannot be chosen. Empty if one can, or if no node could answer that. */
export function nodeRefusals(question: NodeQuestion): Refusal[] {
  const { nodes, from } = question;
  const abi = nodes.find((one) => one.metadata.name === from)?.metadata.labels[labels.driverAbi];
  if (abi === undefined) return [];
  const answers = nodes
    .filter((one) => one.metadata.name !== from)
    .map((one) => checkWanted(question, one.metadata.name, abi));
  return answers.every((one) => 'reason' in one) ? answers : [];
}

function checkWanted(question: NodeQuestion, wanted: string, abi: string): Node | Refusal {
  if (wanted === question.from && !question.mayStay) {
    return {
      reason: 'TargetIsSource',
      message: `The pod runs on node ${wanted} already; name another one or leave spec.targetNodeName out.`,
    };
  }
  const node = question.nodes.find((one) => one.metadata.name === wanted);
  if (!node)
    return {
      reason: 'TargetNodeNotFound',
      message: `There is no node ${wanted}; name another one or leave spec.targetNodeName out.`,
    };
  if (!isNodeReady(node) || node.spec.unschedulable) {
    return {
      reason: 'TargetNodeNotReady',
      message: `Node ${wanted} is not Ready, or is cordoned; name another one or leave spec.targetNodeName out.`,
    };
  }
  const why = misfit(node, question);
  if (isUsable(node, abi) && why !== undefined) {
    return {
      reason: 'NoCompatibleNode',
      message: `Node ${wanted} ${why}; name another one or leave spec.targetNodeName out.`,
    };
  }
  if (isUsable(node, abi)) return node;
  if (node.metadata.labels[labels.driverAbi] === abi) {
    return {
      reason: 'TargetNodeNotReady',
      message: `The Sealift agent of node ${wanted} has not announced itself: the node lacks the annotation ${annotations.agentAddress}. See the logs of the agent's pod on that node.`,
    };
  }
  const has = node.metadata.labels[labels.driverAbi] ?? 'none';
  return {
    reason: 'NoCompatibleNode',
    message: `Node ${wanted} has driver ABI ${has}, the pod needs ${abi}; name a node with the label ${labels.driverAbi}=${abi}.`,
  };
}

/** Why no agent works on a node, as the end of a sentence; undefined if one does. */
export function agentProblem(node: Node): string | undefined {
  if (!isNodeReady(node)) return 'which is not Ready';
  const isAnnounced =
    node.metadata.labels[labels.driverAbi] !== undefined && agentAddress(node) !== undefined;
  return isAnnounced ? undefined : 'which has no working Sealift agent';
}

export function agentAddress(node: Node): string | undefined {
  return node.metadata.annotations[annotations.agentAddress];
}

function isUsable(node: Node, abi: string): boolean {
  return (
    isNodeReady(node) &&
    !node.spec.unschedulable &&
    node.metadata.labels[labels.driverAbi] === abi &&
    agentAddress(node) !== undefined
  );
}

/** Why a pod cannot run on a node, as the end of a sentence. */
const misfit = (node: Node, question: NodeQuestion): string | undefined =>
  unable(node, question) ?? excluded(node, question);

const excluded = (node: Node, { excludes, lacksMemory }: NodeQuestion): string | undefined =>
  excludes?.(node) ?? lacksMemory?.(node);

/** Why the node itself is not for the pod: by what the pod asks of it, by its kernel's security modules, or by its CPU. */
function unable(node: Node, question: NodeQuestion): string | undefined {
  const { scheduling, nodes, from } = question;
  const why = scheduling && unfit(node, scheduling, hostOf(nodes, from));
  if (why !== undefined) return why;
  const source = nodes.find((one) => one.metadata.name === from);
  return modulesMisfit(source, node) ?? cpuMisfit(source, node, question.cpuFeatures);
}

/** A task's profile or label is known only to the security module that gave it. An agent of an earlier version does not say. */
function modulesMisfit(source: Node | undefined, node: Node): string | undefined {
  const [there, here] = [modulesOf(source), modulesOf(node)];
  if (there === undefined || here === undefined || there === here) return undefined;
  return `has other security modules (${here}) than the pod's node (${there})`;
}

const modulesOf = (node: Node | undefined): string | undefined =>
  node?.metadata.annotations[annotations.securityModules];

/**
 * What the CPU of a node lacks that a pod may use, as the end of a sentence.
 * @param features of the node that the images were made on
 */
export function cpuMisfit(
  source: Node | undefined,
  node: Node,
  features: string | undefined = source && cpuFeaturesOf(source),
): string | undefined {
  return (
    lacksFeatures(features, cpuFeaturesOf(node)) ?? lacksVectors(vectorsOf(source), vectorsOf(node))
  );
}

export const cpuFeaturesOf = ({ metadata }: Node): string | undefined =>
  metadata.annotations[annotations.cpuFeatures];

const vectorsOf = (node: Node | undefined): string | undefined =>
  node?.metadata.annotations[annotations.completionVectors];

const busy = ({ isBusy }: NodeQuestion, node: Node): number =>
  Number(isBusy?.(node.metadata.name) ?? false);
const load = (question: NodeQuestion, node: Node): number =>
  question.load.get(node.metadata.name) ?? 0;

function compare({ metadata: a }: Node, { metadata: b }: Node, { seed }: NodeQuestion): number {
  const of = (name: string): string => (seed === undefined ? name : sha256(`${seed} ${name}`));
  return of(a.name) < of(b.name) ? -1 : 1;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
