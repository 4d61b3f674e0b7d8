// SPDX-License-Identifier: Apache-2.0
// Until when a checkpoint must be taken. Its deadline is the operator's; the peers' retry budget begins with the hold.
import type { CheckpointRequest } from '../../../../crds/src/index.ts';
import type { Limit } from '../step-limits.ts';

/** Of the whole checkpoint. @param at by this node's clock */
export function timeoutLimit(
  { spec }: CheckpointRequest,
  at: number | undefined,
): Limit | undefined {
  if (at === undefined) return undefined;
  return {
    at,
    code: 'DeadlineExceeded',
    message:
      `The checkpoint was not taken within ${spec.timeoutSeconds} s: ` +
      'raise spec.timeoutSeconds if it needs longer.',
  };
}

/** Until when the pod must resume if its device is held from now on. */
export function retryBudgetLimit(budget: number | undefined, now: number): Limit | undefined {
  if (budget === undefined) return undefined;
  return {
    at: now + budget,
    code: 'PeerRetryBudgetExceeded',
    message:
      "The pod's peers have a retry limit (that of its queue pairs, or annotation sealift.dev/peer-rnr-retry), and the " +
      `checkpoint was not taken within their retry budget of ${budget} ms. docs/peers.md says what to set.`,
  };
}
