// SPDX-License-Identifier: Apache-2.0
// Messages for users: conditions, events and refusals say what happened, to what, and what to do. Pure.
import type { Decision, SourceAgent, TargetAgent } from '../../../crds/src/index.ts';

/** The API limits a condition's message; crds/src/atoms.ts. */
export const longestMessage = 4096;
/** Leaves room for the decision's own message beside the hints. */
export const longestHints = 1500;

/** A text that ends as a sentence, or with a remark behind one: `Torn down. (logs: node b, /x)`. */
const endsAsSentence = /[.!?…](?:\s*\([^()]*\))?$/;

/**
 * Joins what several components say to whole sentences: each part ends with a full stop, empty parts are left out.
 * A text that is longer than `limit` ends with an ellipsis.
 */
export function sentences(
  parts: readonly (string | undefined)[],
  limit: number = longestMessage,
): string {
  const text = parts
    .map((part) => part?.trim() ?? '')
    .filter((part) => part !== '')
    .map((part) => (endsAsSentence.test(part) ? part : `${part.replace(/[,;:]$/, '')}.`))
    .join(' ');
  return text.length <= limit ? text : `${text.slice(0, limit - 1)}…`;
}

/** How many names a message has, at most. */
const mostNames = 8;

/** The first of many names, and how many more there are. */
export function someOf(names: readonly string[]): string {
  const more = names.length - mostNames;
  const first = names.slice(0, mostNames).join(', ');
  return more > 0 ? `${first} and ${more} more` : first;
}

/**
 * What the agents say about an aborted handover beyond the decision's own message: usually where they keep its logs.
 * @returns whole sentences; empty if there is nothing to add
 */
export function failureHints(
  decision: Pick<Decision, 'message'>,
  agents: readonly (Pick<SourceAgent | TargetAgent, 'message'> | undefined)[],
): string {
  const reported = agents.map((agent) => agent?.message ?? '');
  return sentences(
    reported.filter((message) => !(decision.message ?? '').includes(message)),
    longestHints,
  );
}
