// SPDX-License-Identifier: Apache-2.0
// Who answers the peers of a committed move: somebody always, and the source no more once the target has been let go. A
// side that hears nothing of the other goes on alone after its time (docs/adr/0008), and not before.
import { SOURCE_PATIENCE_MS, TARGET_PATIENCE_MS } from '../../node-agent/src/handing-over.ts';
import type { Sandbox } from './node/machine.ts';

export interface Answers {
  /** Virtual time of the decision. */
  readonly committedAt: number;
  sourceAnswered: boolean;
  /** Since when the target answers, as it stands. */
  targetSince: number | undefined;
  targetHasAnswered: boolean;
}

export const answersFrom = (now: number): Answers => ({
  ...{ committedAt: now, sourceAnswered: false, targetSince: undefined, targetHasAnswered: false },
});

interface Sides {
  /** Absent: there is none (any more). */
  readonly source: Sandbox | undefined;
  readonly target: Sandbox | undefined;
  readonly targetRuns: boolean;
}

/** @returns the violation's code and text, if there is one. */
export function look(answers: Answers, sides: Sides, now: number): [string, string] | undefined {
  const { source, target, targetRuns } = sides;
  const sourceAnswers = source?.connected === true && source.lock === 'source';
  const targetAnswers = target?.connected === true && target.lock !== 'total' && !target.hidden;
  answers.targetSince = targetAnswers ? (answers.targetSince ?? now) : undefined;
  answers.targetHasAnswered ||= targetAnswers;
  // A source that is not there any more was not silenced: its node was reset, or somebody has deleted it.
  const isSilenced = answers.sourceAnswered && source?.lock === 'total';
  answers.sourceAnswered = sourceAnswers;
  const early = now - answers.committedAt < SOURCE_PATIENCE_MS;
  if (isSilenced && !answers.targetHasAnswered && early) {
    return ['NobodyAnswers', `${source.id} is silent before the target has answered`];
  }
  const waited = answers.targetSince === undefined ? 0 : now - answers.targetSince;
  const isLetGo = targetRuns || (target?.connected === true && target.lock === 'none');
  if (sourceAnswers && isLetGo && waited < TARGET_PATIENCE_MS) {
    return ['BothAnswer', `${target?.id} was let go while ${source.id} answers`];
  }
  return undefined;
}
