// SPDX-License-Identifier: Apache-2.0
// What a pod's annotations say of its peers' retry limits. crds/src/peers.ts has the rules, which the operator has
// applied before; here a refusal becomes an error of the agent.
import {
  declaresPeers,
  peersOf,
  refuseShortRetryBudget,
  type BandwidthLimit,
  type Peers,
} from '../../../crds/src/index.ts';
import { AgentError } from './errors.ts';

type Annotations = Readonly<Record<string, string>>;

/** How held devices put the peers of RC queue pairs off. */
export interface HoldAnswer {
  /** RNR timer code 0 to 31 (InfiniBand specification, RNR NAK timer field). */
  rnrTimer: number;
  /** Each queue pair chooses between RNR NAK and silence; `rnrTimer` is for peers without a limit. Else all answer RNR NAK. */
  chooses: boolean;
}

/** RNR timer and retry limit of the pod's peers, or the defaults. @throws AgentError BadAnnotation */
export function readPeers(podAnnotations: Annotations): Peers {
  const peers = peersOf(podAnnotations);
  if ('reason' in peers) throw new AgentError(peers.reason, peers.message);
  return peers;
}

/**
 * How a held device puts the pod's peers off: with RNR NAK if the annotations say how the peers retry, else as each queue
 * pair chooses.
 * @throws AgentError BadAnnotation
 */
export function readHoldAnswer(podAnnotations: Annotations): HoldAnswer {
  const { rnrTimer } = readPeers(podAnnotations);
  return { rnrTimer, chooses: !declaresPeers(podAnnotations) };
}

/** The peers wait long enough for a move. @param peers undefined for a pod not seen yet. @throws AgentError PeerRetryBudgetTooShort */
export function checkRetryBudget(
  peers: Peers | undefined,
  timeouts: { readonly peerMarginMs?: number | undefined } = {},
  memoryBytes = 0,
  bandwidth?: BandwidthLimit,
): void {
  const refusal = peers && refuseShortRetryBudget(peers, timeouts, memoryBytes, bandwidth);
  if (refusal) throw new AgentError(refusal.reason, refusal.message);
}
