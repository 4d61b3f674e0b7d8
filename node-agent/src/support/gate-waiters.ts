// SPDX-License-Identifier: Apache-2.0
// Who waits at a gate: the request on the socket, and what the agent adds to it.
import type { HoldAnswer } from './peers.ts';
import type { CreateRequest, GateRequest } from './socket-protocol.ts';

/** A container at the create gate. */
export type CreateAtGate = CreateRequest & {
  /** How the device, held, puts the peers off: from the pod's annotations. */
  answer: HoldAnswer;
  /** Names of the pod's containers that are restored, in the order in which the kubelet starts them. */
  containers: string[];
};

/** A container that has passed its resume gate: its tasks are frozen. */
export type RestoredAtGate = GateRequest & {
  /** When it arrived, RFC 3339 with microseconds. */
  at: string;
};
