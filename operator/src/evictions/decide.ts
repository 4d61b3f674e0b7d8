// SPDX-License-Identifier: Apache-2.0
// What an eviction is answered. Pure: the same observation gives the same answer.
import {
  annotations,
  evacuationName,
  isFinished,
  RUNTIME_CLASS,
  summaryOf,
  type MigrationRequest,
} from '../../../crds/src/index.ts';
import type { Pod } from '../../../kube/src/index.ts';
import { isReady } from '../target-pod/controllers.ts';
import { namesRequest } from '../target-pod/ownership.ts';
import { budgetMessage, forbids, type BudgetSeen } from './budgets.ts';
import { runsInSealift, type Wish } from './wish.ts';

export interface Eviction {
  readonly namespace: string;
  readonly podName: string;
  /** The client evicts only a pod with this UID. */
  readonly podUid: string | undefined;
  readonly isDryRun: boolean;
}

/** What is known of a pod that an eviction may move. */
export interface Candidate {
  readonly pod: Pod;
  readonly wish: Wish;
  /** MigrationRequests for a pod of this name. */
  readonly requests: readonly MigrationRequest[];
  /** CheckpointRequests for it that have not finished. */
  readonly checkpoints: readonly { readonly metadata: { readonly name: string } }[];
  readonly budgets: readonly BudgetSeen[];
}

export type EvictionAnswer =
  /** The API server goes on with the eviction. The warning is for the client. */
  | { readonly verdict: 'Allow'; readonly warning?: string }
  /** 429: the client may ask again. */
  | { readonly verdict: 'Refuse'; readonly message: string; readonly isBudget?: boolean }
  /** As `Refuse`, and a MigrationRequest is created. */
  | { readonly verdict: 'Move'; readonly message: string };

const allow = (warning?: string): EvictionAnswer => ({
  verdict: 'Allow',
  ...(warning !== undefined && { warning }),
});

/** @returns undefined: the pod may have to be moved, and more has to be known of it */
export function decideAtOnce(eviction: Eviction, pod: Pod | undefined): EvictionAnswer | undefined {
  // The API server itself answers what is not there, or another pod by now, and a pod that has ended holds nothing.
  if (!pod) return allow();
  if (eviction.podUid !== undefined && eviction.podUid !== pod.metadata.uid) return allow();
  if (runsInSealift(pod)) return undefined;
  const asks = pod.metadata.annotations[annotations.eviction] === 'migrate';
  if (!asks || pod.spec.runtimeClassName === RUNTIME_CLASS) return allow();
  return allow(
    `Pod ${pod.metadata.name} has the annotation ${annotations.eviction}: migrate, but does not run in Sealift's runtime: it is evicted. Create it with runtimeClassName: ${RUNTIME_CLASS}.`,
  );
}

export function decideEviction(eviction: Eviction, seen: Candidate): EvictionAnswer {
  const { pod, wish, requests, checkpoints, budgets } = seen;
  const { name } = pod.metadata;
  // Whoever has asked for the move: an eviction in the middle of it would lose the pod.
  if (namesRequest(pod))
    return refuse(`Pod ${name} is arriving on this node: its move is not over.`);
  const active = requests.find((one) => !isFinished(one) && !one.spec.dryRun);
  if (active) {
    const message = progressOf(pod, active);
    return eviction.isDryRun ? allow(message) : refuse(message);
  }
  if (!wish.moves) return evictPlainly(seen);
  const made = evacuationName(pod.metadata.uid);
  const ended = requests.find(
    (one) => one.metadata.name === made && isFinished(one) && !one.spec.dryRun,
  );
  if (ended) return afterEnd(seen, ended);
  const [checkpoint] = checkpoints;
  if (checkpoint) {
    return refuse(
      `CheckpointRequest ${checkpoint.metadata.name} is at work on pod ${name}. It is moved afterwards.`,
    );
  }
  const budget = forbids(budgets);
  if (budget) return overBudget(pod, `is not moved yet: ${budgetMessage(budget)}`);
  const message = `Pod ${name} is moved to another node by MigrationRequest ${pod.metadata.namespace}/${made}. The eviction is refused until the pod has moved.`;
  return eviction.isDryRun
    ? allow(`Dry run: pod ${name} would be moved to another node.`)
    : { verdict: 'Move', message };
}

/**
 * As without Sealift, which leaves budgets to the API server. But that one takes the source of a move for healthy while it stands
 * still, and for a moment both copies. Moves that only wait have a pod that serves, as it says.
 */
function evictPlainly({ pod, budgets }: Candidate, warning?: string): EvictionAnswer {
  const taken = budgets.map((one) => ({ ...one, moves: one.disrupting }));
  const used = isReady(pod) ? forbids(taken.filter(({ moves }) => moves > 0)) : undefined;
  return used ? overBudget(pod, `is not evicted yet: ${budgetMessage(used)}`) : allow(warning);
}

function overBudget({ metadata }: Pod, why: string): EvictionAnswer {
  const message = `Cannot evict pod as it would violate the pod's disruption budget. Pod ${metadata.name} ${why}.`;
  return { verdict: 'Refuse', message, isBudget: true };
}

const refuse = (message: string): EvictionAnswer => ({ verdict: 'Refuse', message });

/** Ends that say nothing about whether the pod can be moved. */
const inconclusive: readonly string[] = ['Cancelled', 'AnotherMigration'];

function afterEnd(seen: Candidate, request: MigrationRequest): EvictionAnswer {
  const { pod, wish } = seen;
  const { name, namespace } = pod.metadata;
  const end = summaryOf(request);
  const own = `MigrationRequest ${namespace}/${request.metadata.name}`;
  // The pod runs elsewhere; what still has this name is the copy that was moved.
  if (end?.status === 'True') return allow();
  const why = `${own} has failed (${end?.reason ?? ''}): ${end?.message ?? ''}`;
  const isConclusive = !inconclusive.includes(end?.reason ?? '');
  if (wish.unmovable === 'Evict' && isConclusive) {
    return evictPlainly(
      seen,
      `Pod ${name} could not be moved and is evicted, as MigrationPolicy ${wish.policy?.metadata.name ?? ''} says. ${why}`,
    );
  }
  return refuse(
    `Pod ${name} could not be moved and is kept. ${why} It is tried again when the request is gone: ${retryTime(request)}, or as soon as you delete it.`,
  );
}

function retryTime({ spec, status }: MigrationRequest): string {
  const { ttlSecondsAfterFinished: ttl } = spec;
  const ended = Date.parse(status?.completionTime ?? '');
  if (ttl === undefined || Number.isNaN(ended)) return 'when its time is over';
  return `at ${new Date(ended + ttl * 1000).toISOString()}`;
}

function progressOf({ metadata }: Pod, request: MigrationRequest): string {
  const { namespace, name } = request.metadata;
  const { phase = 'Pending' } = request.status ?? {};
  const detail = summaryOf(request)?.message ?? '';
  return `Pod ${metadata.name} is being moved by MigrationRequest ${namespace}/${name} (${phase}). ${detail}`.trim();
}
