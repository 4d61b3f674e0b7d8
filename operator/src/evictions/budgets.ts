// SPDX-License-Identifier: Apache-2.0
// PodDisruptionBudgets. A move is a disruption of one pod for as long as it is under way: docs/adr/0022. Pure.
import { isFinished, selects, type MigrationRequest } from '../../../crds/src/index.ts';
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
}

/** Budgets of a namespace that are for a pod. One without a selector is for none, one with an empty selector for all. */
export const budgetsOf = (
  pod: { readonly metadata: { readonly labels: Readonly<Record<string, string>> } },
  budgets: readonly PodDisruptionBudget[],
): PodDisruptionBudget[] =>
  budgets.filter(({ spec }) => spec.selector && selects(spec.selector, pod.metadata.labels));

/**
 * @param pods of the budget's namespace
 * @param requests of that namespace
 * @param except UID of the pod that is to be moved
 */
export function see(
  budget: PodDisruptionBudget,
  pods: readonly Pod[],
  requests: readonly MigrationRequest[],
  except: Pod,
): BudgetSeen {
  const { metadata, spec, status } = budget;
  const names = new Set(
    pods
      .filter(({ metadata: { labels } }) => spec.selector && selects(spec.selector, labels))
      .map((one) => one.metadata.name),
  );
  const others = requests
    .filter((one) => !one.spec.dryRun && !isFinished(one))
    // The pod that a landing pod stands in for is on its way by the request that made the landing pod.
    .filter((one) => one.status?.source?.standsInFor === undefined)
    .filter((one) => one.spec.podName !== except.metadata.name)
    .filter((one) => names.has(one.spec.podName) || names.has(one.status?.target?.podName ?? ''));
  const isCurrent = status.observedGeneration >= metadata.generation;
  return {
    name: metadata.name,
    allowed: isCurrent ? status.disruptionsAllowed : 0,
    moves: others.length,
    disrupting: others.filter((one) => !onlyWaits(one, pods, requests)).length,
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
  budgets.find(({ allowed, moves }) => allowed - moves < 1);

/** For users, as an end of a sentence that begins with the pod. */
export function budgetMessage({ name, allowed, moves }: BudgetSeen): string {
  const taken = moves === 0 ? '' : `, and ${moves} of its pods are being moved or wait for it`;
  return `PodDisruptionBudget ${name} allows ${allowed} disruptions now${taken}`;
}
