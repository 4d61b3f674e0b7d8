// SPDX-License-Identifier: Apache-2.0
// A source's entry in the journal, and what its request says of the pod.
import {
  isFinished,
  peerBudgetMs,
  secondsOfStep,
  type LimitedStep,
  type MigrationRequest,
  type Peers,
  type SourceState,
} from '../../../../crds/src/index.ts';
import type { LockedPod } from '../../node/dump/checkpointer.ts';
import { AgentError } from '../../support/errors.ts';
import type { Entry, Journal, Stage } from '../../support/journal/journal.ts';
import { earliest, stepLimit, type Limit } from '../step-limits.ts';

/** What the agent says while a source is anything but itself. */
const touched: ReadonlySet<SourceState | undefined> = new Set([
  'Holding',
  'Dumping',
  'Transferring',
  'Sent',
]);

const isTouched = (told: SourceState | undefined): boolean => touched.has(told);

/** What is written down of a request, or the beginning of it. */
export function entryOf(journal: Journal, request: MigrationRequest): Entry {
  const { uid, namespace, name } = request.metadata;
  const existing = journal.get(uid, 'source');
  if (existing) return existing;
  const told = request.status?.sourceAgent;
  return {
    version: 1,
    id: uid,
    role: 'source',
    kind: 'MigrationRequest',
    namespace,
    name,
    pod: request.status?.source?.podName ?? request.spec.podName,
    podUid: podUid(request),
    stage: 'Locking',
    containers: [],
    // A journal that was lost: limits that have begun are in the status, too.
    steps: isTouched(told?.state) ? (told?.steps ?? []) : [],
    peerDeadline: isTouched(told?.state) ? told?.peerDeadline : undefined,
  };
}

/** The pod, of which there may be no more left than its sandbox. */
export function placementOf(journal: Journal, request: MigrationRequest): LockedPod {
  return { podUid: podUid(request), netns: journal.get(request.metadata.uid, 'source')?.netns };
}

/** A journal that lost its entry must not leave a frozen pod: the earliest stage repeats and undoes all. */
export function isForgotten(told: SourceState | undefined): Stage | undefined {
  return isTouched(told) ? 'Locking' : undefined;
}

/** @throws AgentError PodNotFound */
export function podUid(request: MigrationRequest): string {
  const uid = request.status?.source?.podUID;
  if (uid !== undefined) return uid;
  throw new AgentError('PodNotFound', 'the request does not say yet which pod it is about');
}

/** @throws AgentError PodNotFound */
export function podName(request: MigrationRequest): {
  namespace: string;
  pod: string;
  podUid: string;
} {
  const pod = request.status?.source?.podName ?? request.spec.podName;
  return { namespace: request.metadata.namespace, pod, podUid: podUid(request) };
}

const stepOf: Partial<Record<Stage, LimitedStep>> = {
  Locking: 'hold',
  Holding: 'hold',
  Freezing: 'freeze',
  Dumping: 'dump',
  Transferring: 'transfer',
};

/** Until when what is under way has to have ended. The blackout's own deadline is the operator's. */
export function limitOf(request: MigrationRequest, entry: Entry | undefined): Limit | undefined {
  const step = entry && stepOf[entry.stage];
  return earliest(
    step && stepLimit(entry.steps, step, secondsOfStep(request.spec.timeouts, step)),
    patienceLimit(request, entry),
  );
}

function patienceLimit(request: MigrationRequest, entry: Entry | undefined): Limit | undefined {
  if (entry?.peerDeadline === undefined) return undefined;
  const budget =
    request.status?.sourceAgent?.peerBudgetMs ?? budgetOf(request.status?.peers, request);
  return {
    at: Date.parse(entry.peerDeadline),
    code: 'PeerRetryBudgetExceeded',
    message:
      `the pod's peers give up soon (annotation sealift.dev/peer-rnr-retry): a hold has to be decided within ` +
      `${budget ?? 0} ms, so the pod goes on here; docs/peers.md says what to set`,
  };
}

/** How long after the beginning of the hold it has to be decided. */
export function budgetOf(
  peers: Pick<Peers, 'retryBudgetMs'> | undefined,
  request: MigrationRequest,
): number | undefined {
  return peers && peerBudgetMs(peers, request.spec.timeouts);
}

/** Whether another pod is, or may yet be, made in the place of a source that was lost. */
export function isReplaced({ spec, status }: MigrationRequest): boolean {
  if (spec.onSourceLoss !== 'RestoreNewestCheckpoint') return false;
  return status?.recovery?.restoreRequestName !== undefined || !isFinished({ status });
}

/**
 * Whether a source that was begun is not what it was: a container that was there is there no more.
 * @param running ids of the pod's containers that run here
 */
export function isLost(entry: Pick<Entry, 'containers'>, running: readonly string[]): boolean {
  return (
    running.length === 0 ||
    entry.containers.some(({ id }) => id !== undefined && !running.includes(id))
  );
}

export const idsOf = (containers: readonly { readonly id: string }[]): string[] =>
  containers.map(({ id }) => id);

export const lostMessage = (pod: string): string =>
  `pod ${pod} is not what it was when its move began: its node was reset, or its container ended; ` +
  'what it had in memory is gone';
