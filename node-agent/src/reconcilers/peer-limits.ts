// SPDX-License-Identifier: Apache-2.0
// How long the peers of a pod bear its hold, and how the held device puts them off. What the pod's annotations say wins
// over what its queue pairs say (docs/adr/0018).
import {
  declaresPeers,
  peerBudgetMs,
  type BandwidthLimit,
  type Peers,
} from '../../../crds/src/index.ts';
import { shortBudgetReason, type LimitedQueuePair } from '../node/device/retry-budget.ts';
import { AgentError } from '../support/errors.ts';
import { checkRetryBudget, readHoldAnswer, readPeers, type HoldAnswer } from '../support/peers.ts';

type Timeouts = { readonly peerMarginMs?: number | undefined };

/** Knows the queue pairs of a pod, or of its network namespace. */
interface QueuePairs<Owner> {
  firstPeerToGiveUp(owner: Owner): Promise<LimitedQueuePair | undefined>;
}

export interface PeerLimits {
  answer: HoldAnswer;
  /** How many milliseconds after the beginning of the hold the request must be decided; undefined: no limit. */
  budgetMs: number | undefined;
}

interface Known {
  /** What the operator has read from the annotations; they may have been changed since. */
  accepted?: Peers | undefined;
  timeouts?: Timeouts;
  /** What has to be moved at least. */
  memoryBytes?: number;
  /** At which it is sent; undefined: as fast as it goes. */
  bandwidth?: BandwidthLimit | undefined;
}

/**
 * Changes nothing.
 * @throws AgentError PeerRetryBudgetTooShort, BadAnnotation
 */
export async function peerLimits<Owner>(
  queuePairs: QueuePairs<Owner>,
  owner: Owner,
  annotations: Readonly<Record<string, string>>,
  { accepted, timeouts = {}, memoryBytes = 0, bandwidth }: Known = {},
): Promise<PeerLimits> {
  const declared = accepted ?? (declaresPeers(annotations) ? readPeers(annotations) : undefined);
  if (declared) {
    checkRetryBudget(declared, timeouts, memoryBytes, bandwidth);
    const answer = { rnrTimer: declared.rnrTimer, chooses: false };
    return { answer, budgetMs: peerBudgetMs(declared, timeouts) };
  }
  const answer = readHoldAnswer(annotations);
  const first = await queuePairs.firstPeerToGiveUp(owner);
  if (!first) return { answer, budgetMs: undefined };
  const reason = shortBudgetReason(first, timeouts, memoryBytes, bandwidth);
  if (reason !== undefined) throw new AgentError('PeerRetryBudgetTooShort', reason);
  return { answer, budgetMs: peerBudgetMs({ retryBudgetMs: first.peer.budgetMs }, timeouts) };
}

/**
 * Until its tasks are frozen a held pod can connect queue pairs. Their peers count from then on, but nobody knows of them
 * yet, so they must retry as long as those that are known.
 * @param knownMs the budget that was reported before the hold; undefined: no limit
 * @throws AgentError PeerRetryBudgetTooShort
 */
export function checkStillInBudget(knownMs: number | undefined, { budgetMs }: PeerLimits): void {
  if (budgetMs === undefined || (knownMs !== undefined && budgetMs >= knownMs)) return;
  throw new AgentError(
    'PeerRetryBudgetTooShort',
    'The pod has connected a queue pair while its device was being held, whose peer gives up sooner than those before. ' +
      'Create a new request.',
  );
}
