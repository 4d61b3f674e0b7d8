// SPDX-License-Identifier: Apache-2.0
// A source's journal entry, and what the agent derives from it and from the request.
import {
  isFinished,
  MAX_NAKS,
  peerBudgetMs,
  podIPConnectionsOf,
  secondsOfStep,
  timeoutsOf,
  type LimitedStep,
  type MigrationRequest,
  type Nak,
  type Peers,
  type SourceState,
} from '../../../../crds/src/index.ts';
import type { Pod } from '../../../../kube/src/index.ts';
import type { LockedPod } from '../../node/dump/checkpointer.ts';
import { AgentError } from '../../support/errors.ts';
import type { Entry, Journal, Stage } from '../../support/journal/journal.ts';
import { earliest, stepLimit, type Limit } from '../step-limits.ts';

/** States that the agent reports while the pod is locked, held or frozen. */
const impairedStates: ReadonlySet<SourceState | undefined> = new Set([
  'Holding',
  'Dumping',
  'Transferring',
  'Sent',
]);

const isImpaired = (state: SourceState | undefined): boolean => impairedStates.has(state);

/** The request's entry; a new one, not yet written, if the journal has none. */
export function entryOf(journal: Journal, request: MigrationRequest): Entry {
  const { uid, namespace, name } = request.metadata;
  const existing = journal.get(uid, 'source');
  if (existing) return existing;
  const reported = request.status?.sourceAgent;
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
    // The journal was lost during the move: the status has the limits that have begun.
    steps: isImpaired(reported?.state) ? (reported?.steps ?? []) : [],
    peerDeadline: isImpaired(reported?.state) ? reported?.peerDeadline : undefined,
  };
}

/** Those of the pod that its target does not get. Sockets at an address that the target has too move with the pod. */
export function clusterAddresses(request: MigrationRequest, { status }: Pod): string[] {
  return request.status?.target?.podIPs === undefined ? status.podIPs.map(({ ip }) => ip) : [];
}

/**
 * The journal's fields for the addresses that the pod loses, and for those whose TCP connections the move ends.
 * @param lost the pod's, which its target does not get
 */
export function lostAddressesFields(
  request: MigrationRequest,
  lost: readonly string[],
): Pick<Entry, 'lostAddresses' | 'resets'> {
  if (lost.length === 0) return {};
  const lostAddresses = [...lost];
  return podIPConnectionsOf(request) === 'Reset'
    ? { lostAddresses, resets: [...lost] }
    : { lostAddresses };
}

/**
 * Whether the status has yet to say how many connections the move ends: whoever may stop the move is to know it before the
 * pod is touched.
 */
export function connectionsOf(request: MigrationRequest): 'due' | undefined {
  const { target, sourceAgent } = request.status ?? {};
  // Without a target nobody knows whether it keeps them.
  const isLost = target !== undefined && target.podIPs === undefined;
  const mayLose = podIPConnectionsOf(request) === 'Reset' && isLost;
  return mayLose && sourceAgent?.lostConnections === undefined ? 'due' : undefined;
}

/** The pod as the lock knows it: its containers may have ended, but its network namespace is still locked. */
export function lockedPodOf(journal: Journal, request: MigrationRequest): LockedPod {
  const entry = journal.get(request.metadata.uid, 'source');
  return { podUid: podUid(request), netns: entry?.netns, resets: entry?.resets };
}

/**
 * The stage of a request without an entry. If the journal was lost during the move, it is the earliest stage: from there
 * the agent repeats or undoes every step, so no pod stays frozen.
 */
export function stageWithoutEntry(reported: SourceState | undefined): Stage | undefined {
  return isImpaired(reported) ? 'Locking' : undefined;
}

/** @throws AgentError PodNotFound */
export function podUid(request: MigrationRequest): string {
  const uid = request.status?.source?.podUID;
  if (uid !== undefined) return uid;
  throw new AgentError('PodNotFound', 'The request does not name its pod yet.');
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

/** The journal's field for the addresses that the target keeps; none where it gets new ones. */
export function keptAddressesField(request: MigrationRequest): { addresses?: string[] } {
  const kept = request.status?.target?.podIPs;
  return kept ? { addresses: kept.map(({ ip }) => ip) } : {};
}

/** The entry with NAKs that have been found. Queue pairs of a container that has been killed since are not found any more. */
export function withNaks(entry: Entry, found: readonly Nak[]): Entry {
  if (found.length === 0) return entry;
  const known = entry.naks ?? [];
  const more = found.filter(({ qpn }) => !known.some((one) => one.qpn === qpn));
  return { ...entry, naks: [...known, ...more].slice(0, MAX_NAKS) };
}

const stepOf: Partial<Record<Stage, LimitedStep>> = {
  Locking: 'hold',
  Holding: 'hold',
  Freezing: 'freeze',
  Dumping: 'dump',
  Transferring: 'transfer',
};

/** Until when the current step must end. The operator watches the blackout deadline. */
export function limitOf(request: MigrationRequest, entry: Entry | undefined): Limit | undefined {
  const step = entry && stepOf[entry.stage];
  return earliest(
    step && stepLimit(entry.steps, step, secondsOfStep(timeoutsOf(request), step)),
    retryBudgetLimit(request, entry),
  );
}

/** The end of the peers' retry budget. */
function retryBudgetLimit(request: MigrationRequest, entry: Entry | undefined): Limit | undefined {
  if (entry?.peerDeadline === undefined) return undefined;
  const budget =
    request.status?.sourceAgent?.peerBudgetMs ?? retryBudgetOf(request.status?.peers, request);
  return {
    at: Date.parse(entry.peerDeadline),
    code: 'PeerRetryBudgetExceeded',
    message:
      "The pod's peers have a retry limit (that of its queue pairs, or annotation sealift.dev/peer-rnr-retry), and the move " +
      `was not decided within their retry budget of ${budget ?? 0} ms. The pod resumes on its source node. docs/peers.md says what to set.`,
  };
}

/** The peers' retry budget in milliseconds: how long after the beginning of the hold the request must be decided. */
export function retryBudgetOf(
  peers: Pick<Peers, 'retryBudgetMs'> | undefined,
  request: MigrationRequest,
): number | undefined {
  return peers && peerBudgetMs(peers, request.spec.timeouts);
}

/** Whether a new pod is, or may yet be, restored from a checkpoint in the place of a lost source. */
export function isReplaced({ spec, status }: MigrationRequest): boolean {
  if (spec.onSourceLoss !== 'RestoreNewestCheckpoint') return false;
  return status?.recovery?.restoreRequestName !== undefined || !isFinished({ status });
}

/**
 * Whether the source is lost: a container that ran when the agent locked the pod has ended.
 * @param running ids of the pod's running containers
 */
export function isLost(entry: Pick<Entry, 'containers'>, running: readonly string[]): boolean {
  return (
    running.length === 0 ||
    entry.containers.some(({ id }) => id !== undefined && !running.includes(id))
  );
}

export const containerIds = (containers: readonly { readonly id: string }[]): string[] =>
  containers.map(({ id }) => id);

export const lostMessage = (pod: string): string =>
  `Pod ${pod} has lost its state since the move began: its node was reset, or one of its containers ended.`;
