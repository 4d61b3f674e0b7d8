// SPDX-License-Identifier: Apache-2.0
// The retry budget of a held pod's peers, from the pod's annotations. Pure. The operator refuses a request by it, the
// agent limits the hold by it. Without the annotation the agent takes the pod's own queue pairs for their peers
// (docs/adr/0018); with it the user says that the peers are set up otherwise.
import { sendingMs, type BandwidthLimit } from './bandwidth.ts';
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
/** 10.24 ms: few repetitions, and below any usual ACK timeout. For peers without a retry limit. */
export const DEFAULT_RNR_TIMER = 20;
/** 655.36 ms, for peers with a retry limit. */
export const LONGEST_RNR_TIMER = 0;
/** An `rnr_retry` that means "no limit" (InfiniBand Architecture Specification, volume 1, section 9.7.5.2.8). */
export const RNR_RETRY_FOREVER = 7;

/** Less than any move takes. The operator refuses a request whose peers allow less, before it touches anything. */
export const LEAST_MOVE_MS = 400;

/**
 * Faster than any move takes memory along: CRIU writes it, both agents make its digest while it is sent, CRIU reads it, one after
 * the other, and each by one thread. SHA-256 alone takes longer, in hardware too. A move that this refuses would have
 * paused the pod for nothing.
 */
export const MOST_BYTES_PER_MS = 2 ** 31 / 1000;

export interface Peers {
  /** How many RNR NAKs a peer accepts for one request; 7: no limit. */
  readonly rnrRetry: number;
  /** Code of the RNR timer that a held device sends. */
  readonly rnrTimer: number;
  /** How many milliseconds a hold may last; absent: no limit. */
  readonly retryBudgetMs?: number;
}

export interface PeersRefusal {
  readonly reason: 'BadAnnotation' | 'PeerRetryBudgetTooShort';
  readonly message: string;
}

/** @param of a pod's annotations */
export function peersOf(of: Readonly<Record<string, string | undefined>>): Peers | PeersRefusal {
  const retry = whole(of, annotations.peerRnrRetry, 1, RNR_RETRY_FOREVER);
  const timer = whole(of, annotations.rnrTimer, 0, 31);
  if (typeof retry === 'object') return retry;
  if (typeof timer === 'object') return timer;
  const rnrRetry = retry ?? RNR_RETRY_FOREVER;
  if (rnrRetry === RNR_RETRY_FOREVER) return { rnrRetry, rnrTimer: timer ?? DEFAULT_RNR_TIMER };
  const rnrTimer = timer ?? LONGEST_RNR_TIMER;
  return { rnrRetry, rnrTimer, retryBudgetMs: (rnrRetry * microseconds(rnrTimer)) / 1000 };
}

const microseconds = (code: number): number => rnrTimerMicroseconds[code] ?? 0;
export const rnrTimerMs = (code: number): number => microseconds(code) / 1000;

/** The annotation says how the peers retry: it wins over what the pod's queue pairs say. @param of a pod's annotations */
export const declaresPeers = (of: Readonly<Record<string, string | undefined>>): boolean =>
  of[annotations.peerRnrRetry] !== undefined;

/**
 * The least retry budget that a move needs, in milliseconds.
 * @param memoryBytes what has to be moved at least; 0 where nobody knows
 * @param bandwidth at which it is sent; undefined: as fast as it goes
 * @returns for people, too, what it consists of
 */
export function leastBudget(
  timeouts: { readonly peerMarginMs?: number | undefined },
  memoryBytes = 0,
  bandwidth?: BandwidthLimit,
): { leastMs: number; parts: string } {
  const marginMs = marginOf(timeouts);
  const sentMs = bandwidth ? sendingMs(memoryBytes, bandwidth) : 0;
  const memoryMs = Math.max(Math.floor(memoryBytes / MOST_BYTES_PER_MS), sentMs);
  const at = bandwidth && sentMs > 0 ? ` at ${bandwidth.text}` : '';
  const memory =
    memoryMs === 0
      ? ''
      : `, and ${memoryMs} ms for ${Math.round(memoryBytes / 2 ** 20)} MiB of memory${at && ` and files${at}`}`;
  return {
    leastMs: marginMs + LEAST_MOVE_MS + memoryMs,
    parts: `${marginMs} ms are spec.timeouts.peerMarginMs${memory}`,
  };
}

/** How many milliseconds after the start of a hold the decision is due; undefined: no limit. */
export function peerBudgetMs(
  { retryBudgetMs }: Pick<Peers, 'retryBudgetMs'>,
  timeouts: { readonly peerMarginMs?: number | undefined },
): number | undefined {
  return retryBudgetMs === undefined ? undefined : retryBudgetMs - marginOf(timeouts);
}

/** @returns why a move would take longer than these peers' retry budget; undefined: it need not. */
export function refuseShortRetryBudget(
  peers: Peers,
  timeouts: { readonly peerMarginMs?: number | undefined },
  memoryBytes = 0,
  bandwidth?: BandwidthLimit,
): PeersRefusal | undefined {
  const { retryBudgetMs, rnrRetry, rnrTimer } = peers;
  const { leastMs: least, parts } = leastBudget(timeouts, memoryBytes, bandwidth);
  if (retryBudgetMs === undefined || retryBudgetMs >= least) return undefined;
  const timer = `${rnrTimerMs(rnrTimer)} ms, code ${rnrTimer}`;
  return {
    reason: 'PeerRetryBudgetTooShort',
    message:
      `The pod's peers retry for ${retryBudgetMs} ms (${annotations.peerRnrRetry}: ${rnrRetry} times the RNR timer of ` +
      `${timer}); a move needs at least ${least} ms, of which ${parts}. ` +
      `Raise rnr_retry of the peers' queue pairs (7: no limit) and set ${annotations.peerRnrRetry} to it, or choose ` +
      `a longer timer in ${annotations.rnrTimer} (0: 655.36 ms).`,
  };
}

const marginOf = (timeouts: { readonly peerMarginMs?: number | undefined }): number =>
  timeouts.peerMarginMs ?? PEER_MARGIN_MS;

function whole(
  of: Readonly<Record<string, string | undefined>>,
  key: string,
  least: number,
  most: number,
): number | PeersRefusal | undefined {
  const text = of[key];
  if (text === undefined) return undefined;
  const value = /^\d{1,2}$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  return {
    reason: 'BadAnnotation',
    message: `The pod's annotation ${key} must be a whole number from ${least} to ${most}, not "${text}".`,
  };
}
