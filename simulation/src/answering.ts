// SPDX-License-Identifier: Apache-2.0
// Who answers the peers of a committed move: somebody always, and the source no more once the target has been let go. A
// side that hears nothing of the other goes on alone after its time (docs/adr/0008), and not before.
import { SOURCE_WAIT_MS, TARGET_WAIT_MS } from '../../node-agent/src/reconcilers/handover-waits.ts';
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
  const targetAnswers = isConnected(target) && target.lock !== 'total' && !target.hidden;
  answers.targetSince = targetAnswers ? (answers.targetSince ?? now) : undefined;
  answers.targetHasAnswered ||= targetAnswers;
  const answered = answers.sourceAnswered;
  answers.sourceAnswered = isConnected(source) && source.lock === 'source';
  if (source && answers.sourceAnswered) {
    const waited = answers.targetSince === undefined ? 0 : now - answers.targetSince;
    return isLetGo(target, targetRuns) && waited < TARGET_WAIT_MS
      ? ['BothAnswer', `${target?.id} was let go while ${source.id} answers`]
      : undefined;
  }
  // A source that is not there any more was not silenced: its node was reset, or somebody has deleted it.
  if (!answered || source?.lock !== 'total' || answers.targetHasAnswered) return undefined;
  return now - answers.committedAt < SOURCE_WAIT_MS
    ? ['NobodyAnswers', `${source.id} is silent before the target has answered`]
    : undefined;
}

/** What runs is not heard behind a total lock, nor behind the source's kind as long as its device is held. */
function isLetGo(target: Sandbox | undefined, runs: boolean): boolean {
  if (!isConnected(target)) return false;
  const { lock, device } = target;
  return lock === 'none' || (runs && lock === 'source' && device?.held === false);
}

const isConnected = (sandbox: Sandbox | undefined): sandbox is Sandbox =>
  sandbox?.connected === true;
