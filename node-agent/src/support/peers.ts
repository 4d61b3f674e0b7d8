// SPDX-License-Identifier: Apache-2.0
// What a pod's annotations say of its peers' retry limits. crds/src/peers.ts has the rules, which the operator has
// applied before; here a refusal becomes an error of the agent.
import { peersOf, refuseShortRetryBudget, type Peers } from '../../../crds/src/index.ts';
import { AgentError } from './errors.ts';

/** RNR timer and retry limit of the pod's peers, or the defaults. @throws AgentError BadAnnotation */
export function readPeers(podAnnotations: Readonly<Record<string, string>>): Peers {
  const peers = peersOf(podAnnotations);
  if ('reason' in peers) throw new AgentError(peers.reason, peers.message);
  return peers;
}

/** The peers wait long enough for a move. @param peers undefined for a pod not seen yet. @throws AgentError PeerRetryBudgetTooShort */
export function checkRetryBudget(
  peers: Peers | undefined,
  timeouts: { readonly peerMarginMs?: number | undefined } = {},
): void {
  const refusal = peers && refuseShortRetryBudget(peers, timeouts);
  if (refusal) throw new AgentError(refusal.reason, refusal.message);
}
