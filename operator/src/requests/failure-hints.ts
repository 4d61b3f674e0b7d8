// SPDX-License-Identifier: Apache-2.0
// What the agents say of a move that did not happen beyond the decision's own words: where they keep the logs.
import type { Decision, SourceAgent, TargetAgent } from '../../../crds/src/index.ts';

/** Leaves room for the decision's message within a condition's. */
const LONGEST = 1500;

/** To be appended to the decision's message; empty if there is nothing to add. Pure. */
export function failureHints(
  decision: Pick<Decision, 'message'>,
  agents: readonly (Pick<SourceAgent | TargetAgent, 'message'> | undefined)[],
): string {
  const said = agents.map((agent) => agent?.message ?? '');
  return said
    .filter((message) => message !== '' && !(decision.message ?? '').includes(message))
    .map((message) => ` ${message}`)
    .join('')
    .slice(0, LONGEST);
}
