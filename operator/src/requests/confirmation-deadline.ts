// SPDX-License-Identifier: Apache-2.0
// How long after a decision a node may say nothing. Pure.
import type { Deadlines } from '../../../crds/src/index.ts';
import { timestamp } from '../../../kube/src/index.ts';

/**
 * Writes the moment into the status, so that a restarted operator keeps it.
 * @param proposed by the operator's own clock: the decision's time is somebody else's.
 * @returns milliseconds since the epoch
 */
export function confirmationDeadline(
  status: { deadlines?: Deadlines | undefined },
  proposed: number,
): number {
  const known = status.deadlines?.confirmation;
  if (known !== undefined) return Date.parse(known);
  status.deadlines = { ...status.deadlines, confirmation: timestamp(proposed) };
  return proposed;
}
