// SPDX-License-Identifier: Apache-2.0
// Timestamps with microseconds, and when each step of a handover began and ended.
import type { Step, StepName } from '../../../crds/src/index.ts';

/** Now, as RFC 3339 with microseconds: the wall clock when the process started plus the monotonic clock since then. */
export function microTimestamp(): string {
  const now = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000));
  const ms = Number(now / 1000n);
  const rest = String(now % 1000n).padStart(3, '0');
  return new Date(ms).toISOString().replace('Z', `${rest}Z`);
}

/** The steps with this one begun, or begun again, at `at`. */
export function beginStep(
  steps: readonly Step[],
  name: StepName,
  at = microTimestamp(),
  deadline?: string,
): Step[] {
  const step: Step = { name, startTime: at, ...(deadline === undefined ? {} : { deadline }) };
  return [...steps.filter((one) => one.name !== name), step];
}

/** The steps with this one begun. A step that has begun before keeps its beginning and its deadline. */
export function beginOnce(steps: readonly Step[], name: StepName, deadline?: string): Step[] {
  if (steps.some((one) => one.name === name)) return [...steps];
  return beginStep(steps, name, undefined, deadline);
}

/** The steps with this one ended at `at`. A step that never began is not added. */
export function endStep(steps: readonly Step[], name: StepName, at = microTimestamp()): Step[] {
  return steps.map((step) => (step.name === name ? { ...step, endTime: at } : step));
}

/** How many seconds a step took, if it has ended. */
export function secondsOf(step: Step): number | undefined {
  if (step.endTime === undefined) return undefined;
  return (microseconds(step.endTime) - microseconds(step.startTime)) / 1e6;
}

/** Since the epoch. */
function microseconds(timestamp: string): number {
  const fraction = /\.(\d+)Z$/.exec(timestamp)?.[1] ?? '';
  return (
    Date.parse(timestamp.replace(/\.\d+Z$/, 'Z')) * 1000 +
    Number(fraction.padEnd(6, '0').slice(0, 6))
  );
}
