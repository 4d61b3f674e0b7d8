// SPDX-License-Identifier: Apache-2.0
// What a pod's annotations say of its peers, where the answer has to be had. The rules are crds/src/peers.ts: the
// operator has refused by the same.
import { peersOf, refuseShortRetryBudget, type Peers } from '../../../crds/src/index.ts';
import { AgentError } from './errors.ts';

/** @throws AgentError BadAnnotation */
export function readPeers(notes: Readonly<Record<string, string>>): Peers {
  const peers = peersOf(notes);
  if ('reason' in peers) throw new AgentError(peers.reason, peers.message);
  return peers;
}

/** @throws AgentError PeerRetryBudgetTooShort */
export function checkRetryBudget(
  peers: Peers | undefined,
  timeouts: { readonly peerMarginMs?: number | undefined } = {},
): void {
  const refusal = peers && refuseShortRetryBudget(peers, timeouts);
  if (refusal) throw new AgentError(refusal.reason, refusal.message);
}
