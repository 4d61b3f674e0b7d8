// SPDX-License-Identifier: Apache-2.0
// How long the peers of a held pod wait, from what its annotations say of them. Pure; shared by the operator, which
// refuses, and the agent, which holds. Neither the pod's kernel nor the API knows how a peer's queue pair was set
// up, so the user has to say.
import { annotations } from './names.ts';
import { PEER_MARGIN_MS } from './timeouts.ts';

/**
 * RNR NAK timers by code, in microseconds: InfiniBand Architecture Specification, volume 1, table "Encoding for RNR
 * NAK Timer Field" (section 9.7.5.2.8).
 */
export const rnrTimerMicroseconds: readonly number[] = [
  ...[655_360, 10, 20, 30, 40, 60, 80, 120],
  ...[160, 240, 320, 480, 640, 960, 1280, 1920],
  ...[2560, 3840, 5120, 7680, 10_240, 15_360, 20_480, 30_720],
  ...[40_960, 61_440, 81_920, 122_880, 163_840, 245_760, 327_680, 491_520],
];
/** 10.24 ms: few repetitions, and below any usual ACK timeout. For peers that wait for ever. */
export const DEFAULT_RNR_TIMER = 20;
/** 655.36 ms, for peers that do not. */
export const LONGEST_RNR_TIMER = 0;
/** An `rnr_retry` that means "for ever". */
export const RNR_RETRY_FOREVER = 7;

/**
 * Less than any move takes: hold, freeze, dump, transfer and restore. A request that could never do better is refused
 * before anything is touched.
 */
export const LEAST_MOVE_MS = 400;

export interface Peers {
  /** Times that a peer puts up with an RNR NAK; 7: for ever. */
  readonly rnrRetry: number;
  /** Code that a held device sends. */
  readonly rnrTimer: number;
  /** How long a hold may last at most; absent: for ever. */
  readonly retryBudgetMs?: number;
}

export interface PeersRefusal {
  readonly reason: 'BadAnnotation' | 'PeerRetryBudgetTooShort';
  readonly message: string;
}

/** @param notes a pod's annotations */
export function peersOf(notes: Readonly<Record<string, string | undefined>>): Peers | PeersRefusal {
  const retry = whole(notes, annotations.peerRnrRetry, 1, RNR_RETRY_FOREVER);
  const timer = whole(notes, annotations.rnrTimer, 0, 31);
  if (typeof retry === 'object') return retry;
  if (typeof timer === 'object') return timer;
  const rnrRetry = retry ?? RNR_RETRY_FOREVER;
  if (rnrRetry === RNR_RETRY_FOREVER) return { rnrRetry, rnrTimer: timer ?? DEFAULT_RNR_TIMER };
  const rnrTimer = timer ?? LONGEST_RNR_TIMER;
  return { rnrRetry, rnrTimer, retryBudgetMs: (rnrRetry * microseconds(rnrTimer)) / 1000 };
}

const microseconds = (code: number): number => rnrTimerMicroseconds[code] ?? 0;
export const rnrTimerMs = (code: number): number => microseconds(code) / 1000;

/** How long after the beginning of a hold it has to be decided; undefined: no limit. */
export function peerBudgetMs(
  { retryBudgetMs }: Pick<Peers, 'retryBudgetMs'>,
  timeouts: { readonly peerMarginMs?: number | undefined },
): number | undefined {
  return retryBudgetMs === undefined ? undefined : retryBudgetMs - marginOf(timeouts);
}

/** @returns why these peers cannot be held as long as a move takes. */
export function refuseShortRetryBudget(
  peers: Peers,
  timeouts: { readonly peerMarginMs?: number | undefined },
): PeersRefusal | undefined {
  const { retryBudgetMs, rnrRetry, rnrTimer } = peers;
  const margin = marginOf(timeouts);
  const least = margin + LEAST_MOVE_MS;
  if (retryBudgetMs === undefined || retryBudgetMs >= least) return undefined;
  const timer = `${rnrTimerMs(rnrTimer)} ms, code ${rnrTimer}`;
  return {
    reason: 'PeerRetryBudgetTooShort',
    message:
      `The pod's peers wait for ${retryBudgetMs} ms (${annotations.peerRnrRetry}: ${rnrRetry} times the RNR timer of ` +
      `${timer}); a move needs ${least} ms at least, of which ${margin} ms are spec.timeouts.peerMarginMs. ` +
      `Raise rnr_retry of the peers' queue pairs (7: for ever) and say so in ${annotations.peerRnrRetry}, or choose ` +
      `a longer timer in ${annotations.rnrTimer} (0: 655.36 ms).`,
  };
}

const marginOf = (timeouts: { readonly peerMarginMs?: number | undefined }): number =>
  timeouts.peerMarginMs ?? PEER_MARGIN_MS;

function whole(
  notes: Readonly<Record<string, string | undefined>>,
  key: string,
  least: number,
  most: number,
): number | PeersRefusal | undefined {
  const text = notes[key];
  if (text === undefined) return undefined;
  const value = /^\d{1,2}$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  return {
    reason: 'BadAnnotation',
    message: `The pod's annotation ${key} must be a whole number from ${least} to ${most}, not "${text}".`,
  };
}
