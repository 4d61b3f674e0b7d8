// SPDX-License-Identifier: Apache-2.0
// PodDisruptionBudgets. A move is a disruption of one pod for as long as it is under way: docs/adr/0022. Pure.
import {
  isFinished,
  selects,
  waitsForNode,
  type MigrationRequest,
} from '../../../crds/src/index.ts';
import type { Pod, PodDisruptionBudget } from '../../../kube/src/index.ts';
import { isReady } from '../target-pod/controllers.ts';

/** A budget that a pod is bound by, and the moves that take from it. */
export interface BudgetSeen {
  readonly name: string;
  /** As its status says; 0 while the disruption controller has not looked at its newest spec. */
  readonly allowed: number;
  /** Moves under way, or waiting, of other pods that it is for. */
  readonly moves: number;
  /** Those among them that have a pod stand still, or may do so at any moment; others only wait. */
  readonly disrupting: number;
  /** Other pods' evictions that were let through, and that its status does not show yet. */
  readonly evicting: number;
}

/** What there is in the budget's namespace. */
interface Surroundings {
  /** Those that the requests name, at least. */
  readonly pods: readonly Pod[];
  readonly requests: readonly MigrationRequest[];
  /** Pods whose eviction was let through a moment ago. */
  readonly granted?: readonly Pod[];
}

/** Budgets of a namespace that are for a pod. One without a selector is for none, one with an empty selector for all. */
export const budgetsOf = (
  pod: { readonly metadata: { readonly labels: Readonly<Record<string, string>> } },
  budgets: readonly PodDisruptionBudget[],
): PodDisruptionBudget[] =>
  budgets.filter(({ spec }) => spec.selector && selects(spec.selector, pod.metadata.labels));

/** Whether a request may take from a budget: its own pod is on its way, or may be at any moment. */
export const mayDisrupt = (request: MigrationRequest): boolean =>
  !request.spec.dryRun && !isFinished(request);

/** Names of the pods that a request is about. */
export const podsOf = ({ spec, status }: MigrationRequest): string[] =>
  [spec.podName, status?.target?.podName].filter((one) => one !== undefined);

/** @param except the pod that is to be moved or evicted */
export function see(
  budget: PodDisruptionBudget,
  { pods, requests, granted = [] }: Surroundings,
  except: Pod,
): BudgetSeen {
  const { metadata, spec, status } = budget;
  const isOwn = ({ metadata: { labels } }: Pod): boolean =>
    spec.selector ? selects(spec.selector, labels) : false;
  const names = new Set(pods.filter(isOwn).map((one) => one.metadata.name));
  const others = requests
    .filter((one) => mayDisrupt(one))
    // The pod that a landing pod stands in for is on its way by the request that made the landing pod.
    .filter((one) => one.status?.source?.standsInFor === undefined)
    .filter((one) => one.spec.podName !== except.metadata.name)
    .filter((one) => podsOf(one).some((name) => names.has(name)));
  const disrupting = new Set(others.filter((one) => !onlyWaits(one, pods, requests)));
  const isCurrent = status.observedGeneration >= metadata.generation;
  return {
    name: metadata.name,
    allowed: isCurrent ? status.disruptionsAllowed : 0,
    moves: others.filter((one) => !waitsForNode(one) || disrupting.has(one)).length,
    disrupting: disrupting.size,
    evicting: granted
      .filter(isOwn)
      .filter((one) => one.metadata.uid !== except.metadata.uid)
      .filter((one) => status.disruptedPods[one.metadata.name] === undefined).length,
  };
}

/**
 * Whether the move has no pod stand still for now: it is queued, or its landing pod serves and no second move is under way. It may
 * wait without end, for a node that a drain has cordoned; an eviction that waited for it would keep that drain.
 */
function onlyWaits(
  request: MigrationRequest,
  pods: readonly Pod[],
  requests: readonly MigrationRequest[],
): boolean {
  const { source, queue, decision, target, targetAgent, secondMove } = request.status ?? {};
  if (!source) return queue !== undefined;
  if (source.controller?.handover !== 'ByName' || decision?.outcome !== 'Committed') return false;
  if (targetAgent?.state !== 'Running') return false;
  const isMovingOn = requests.some(
    (one) => one.metadata.name === secondMove?.requestName && !isFinished(one),
  );
  if (isMovingOn) return false;
  const landing = pods.find((one) => one.metadata.name === target?.podName);
  if (!landing || landing.metadata.deletionTimestamp !== undefined) return false;
  return landing.metadata.uid === target?.podUID && isReady(landing);
}

/** The budget that forbids another move. */
export const forbids = (budgets: readonly BudgetSeen[]): BudgetSeen | undefined =>
  budgets.find(({ allowed, moves, evicting }) => allowed - moves - evicting < 1);

/** Whether the API server will take the pod's eviction from a budget; it refuses one of a pod that has several. */
export function takesFrom({
  pod,
  budgets,
}: {
  readonly pod: Pod;
  readonly budgets: readonly BudgetSeen[];
}): boolean {
  const [budget, ...others] = budgets;
  return budget !== undefined && others.length === 0 && budget.allowed > 0 && isReady(pod);
}

/** For users, as an end of a sentence that begins with the pod. */
export function budgetMessage({ name, allowed, moves, evicting }: BudgetSeen): string {
  const moved = moves === 0 ? '' : `, and ${moves} of its pods are being moved or wait for it`;
  const evicted = evicting === 0 ? '' : `, and ${evicting} of its pods are being evicted`;
  return `PodDisruptionBudget ${name} allows ${allowed} disruptions now${moved}${evicted}`;
}
