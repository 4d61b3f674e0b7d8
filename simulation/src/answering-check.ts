// SPDX-License-Identifier: Apache-2.0
// Which side of a committed move answers the peers. There is always one, and the source falls silent before the target
// resumes. A side that hears nothing of the other continues alone after a limit (docs/adr/0008), and not earlier.
import { SOURCE_WAIT_MS, TARGET_WAIT_MS } from '../../node-agent/src/reconcilers/handover-waits.ts';
import type { Sandbox } from './node/machine.ts';

/** What the monitor remembers of one committed move. Times are virtual milliseconds. */
export interface AnsweringRecord {
  readonly committedAt: number;
  sourceAnswered: boolean;
  /** Since when the target answers. Undefined: it does not. */
  targetSince: number | undefined;
  targetHasAnswered: boolean;
  /**
   * It has waited for the source, or has been resumed without a need to. It need not wait again: a reset of its node, also
   * one that comes before the pod is unlocked, starts it in another sandbox.
   */
  targetHasWaited: boolean;
}

export const newAnsweringRecord = (now: number): AnsweringRecord => ({
  ...{ committedAt: now, sourceAnswered: false, targetSince: undefined, targetHasAnswered: false },
  targetHasWaited: false,
});

interface Sides {
  /** Undefined: its sandbox does not exist. */
  readonly source: Sandbox | undefined;
  readonly target: Sandbox | undefined;
  readonly targetRuns: boolean;
}

/** Brings the record up to date. @returns the violation's code and text, if there is one */
export function checkAnswering(
  record: AnsweringRecord,
  sides: Sides,
  now: number,
): [string, string] | undefined {
  const { source, target, targetRuns } = sides;
  const targetAnswers = isHeard(target);
  record.targetSince = targetAnswers ? (record.targetSince ?? now) : undefined;
  record.targetHasAnswered ||= targetAnswers;
  const answeredBefore = record.sourceAnswered;
  record.sourceAnswered = isConnected(source) && source.lock === 'source';
  const resumed = isResumed(target, targetRuns);
  const waited = record.targetSince === undefined ? 0 : now - record.targetSince;
  record.targetHasWaited ||=
    waited >= TARGET_WAIT_MS || (!record.sourceAnswered && (targetRuns || resumed));
  if (source && record.sourceAnswered) {
    return resumed && !record.targetHasWaited
      ? ['BothAnswer', `${target?.id} was resumed while ${source.id} answers`]
      : undefined;
  }
  // A source without a sandbox was not silenced: its node was reset, or a user deleted the pod.
  if (!answeredBefore || source?.lock !== 'total' || record.targetHasAnswered) return undefined;
  return now - record.committedAt < SOURCE_WAIT_MS
    ? ['NobodyAnswers', `${source.id} is silent before the target has answered`]
    : undefined;
}

const isHeard = (target: Sandbox | undefined): boolean =>
  isConnected(target) && target.lock !== 'total' && !target.hidden;

/** A total lock hides tasks that run. So does the source's kind of lock while the device is held. */
function isResumed(target: Sandbox | undefined, runs: boolean): boolean {
  if (!isConnected(target)) return false;
  const { lock, device } = target;
  return lock === 'none' || (runs && lock === 'source' && device?.held === false);
}

const isConnected = (sandbox: Sandbox | undefined): sandbox is Sandbox =>
  sandbox?.connected === true;
