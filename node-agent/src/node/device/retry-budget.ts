// SPDX-License-Identifier: Apache-2.0
// How long the peers of a device's queue pairs retry while it is held. The driver computes it from each queue pair's own
// attributes (native/rxe, method LIST; docs/adr/0018): both ends of a connection are nearly always set up the same.
import { annotations, leastBudget, type BandwidthLimit } from '../../../../crds/src/index.ts';
import type { RxeObject, RxePeer } from '../../../../native/addon/index.ts';

/** A queue pair whose peer retries for a limited time. */
export interface LimitedQueuePair {
  device: string;
  /** Its QPN. */
  number: number;
  handle: number | undefined;
  /** For people: `Process 41 (python3)`. */
  owner: string;
  peer: RxePeer & { budgetMs: number };
}

/** The queue pair whose peer gives up first; undefined if none does. Those of the kernel do not count. Pure. */
export function firstToGiveUp(
  objects: readonly RxeObject[],
): (RxeObject & { peer: RxePeer & { budgetMs: number } }) | undefined {
  let first: (RxeObject & { peer: RxePeer & { budgetMs: number } }) | undefined;
  for (const object of objects) {
    const { peer, context } = object;
    if (peer?.budgetMs === undefined || context === undefined) continue;
    const { budgetMs } = peer;
    if (!first || budgetMs < first.peer.budgetMs)
      first = { ...object, peer: { ...peer, budgetMs } };
  }
  return first;
}

/**
 * Pure.
 * @returns why a move takes longer than this queue pair's peer retries, and what to do; undefined if it need not
 */
export function shortBudgetReason(
  { device, number, handle, owner, peer }: LimitedQueuePair,
  timeouts: { readonly peerMarginMs?: number | undefined },
  memoryBytes = 0,
  bandwidth?: BandwidthLimit,
): string | undefined {
  const { leastMs, parts } = leastBudget(timeouts, memoryBytes, bandwidth);
  if (peer.budgetMs >= leastMs) return undefined;
  const { rnrRetry, retryCount, timeout } = peer;
  return (
    `${owner} has queue pair ${number} (handle ${handle ?? '?'}) on ${device} with rnr_retry ${rnrRetry}, retry_cnt ` +
    `${retryCount} and timeout ${timeout} (${responseTimeout(timeout)}). A peer that is set up the same gives up after ` +
    `${peer.budgetMs} ms; a move needs at least ${leastMs} ms, of which ${parts}. ` +
    `Set rnr_retry 7 at both ends${timeout === 0 ? '' : ', or retry_cnt 7, or a longer timeout'}. If the peer is set ` +
    `up otherwise, set the pod's annotation ${annotations.peerRnrRetry} to its rnr_retry.`
  );
}

/** InfiniBand Architecture Specification, volume 1, section 9.7.6.1.3: 4.096 us x 2^code. */
function responseTimeout(code: number): string {
  if (code === 0) return 'none: it repeats nothing by itself';
  const ms = (4.096 * 2 ** code) / 1000;
  return ms < 1 ? 'less than 1 ms' : `${Math.round(ms)} ms`;
}
