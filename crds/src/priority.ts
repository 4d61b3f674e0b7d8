// SPDX-License-Identifier: Apache-2.0
// The priority of MigrationRequests, which orders those that wait for their turn (docs/adr/0036). Pure.
import { z } from 'zod';

/** What a point of priority is worth: a request that waits for longer than its lack of points is passed by no other. */
const POINT_MS = 60_000;
/** A week. */
export const MOST_PRIORITY = 10_000;
export const LEAST_PRIORITY = -MOST_PRIORITY;

export const Priority = z.int().min(LEAST_PRIORITY).max(MOST_PRIORITY);

interface Limit {
  readonly queuePriority?: number | undefined;
}

/**
 * The priority that counts: the request's own, but not above that of its policy; else the policy's, else 0.
 * @param policy left out: that of the request's status
 */
export function priorityOf(
  {
    spec,
    status,
  }: {
    readonly spec: { readonly priority?: number | undefined };
    readonly status?: { readonly policy?: Limit | undefined } | undefined;
  },
  policy: Limit | undefined = status?.policy,
): number {
  const most = policy?.queuePriority;
  if (spec.priority === undefined) return most ?? 0;
  return Math.min(spec.priority, most ?? spec.priority);
}

/** When the turn of a request comes beside that of others, in milliseconds since the epoch: the earlier goes first. */
export const turnOf = (request: {
  readonly creationTimestamp: string;
  readonly priority: number;
}): number => Date.parse(request.creationTimestamp) - request.priority * POINT_MS;
