// SPDX-License-Identifier: Apache-2.0
// Times in microseconds, and the steps of a handover with their beginnings and ends.
import type { Step, StepName } from '../../../crds/src/index.ts';

/** Now, RFC 3339 with microseconds: the wall clock at start plus what the monotonic clock counted since. */
export function microTimestamp(): string {
  const microseconds = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000));
  const ms = Number(microseconds / 1000n);
  const rest = String(microseconds % 1000n).padStart(3, '0');
  return new Date(ms).toISOString().replace('Z', `${rest}Z`);
}

/** A list with the step begun (again) now. Pure but for the clock. */
export function beginStep(
  steps: readonly Step[],
  name: StepName,
  at = microTimestamp(),
  deadline?: string,
): Step[] {
  const step: Step = { name, startTime: at, ...(deadline === undefined ? {} : { deadline }) };
  return [...steps.filter((one) => one.name !== name), step];
}

/** A list with the step begun; one that was begun before keeps its beginning and its deadline. */
export function beginOnce(steps: readonly Step[], name: StepName, deadline?: string): Step[] {
  if (steps.some((one) => one.name === name)) return [...steps];
  return beginStep(steps, name, undefined, deadline);
}

/** A list with the step ended now; one that was never begun is left out. */
export function endStep(steps: readonly Step[], name: StepName, at = microTimestamp()): Step[] {
  return steps.map((step) => (step.name === name ? { ...step, endTime: at } : step));
}

/** Seconds that a step took, if it has ended. */
export function secondsOf(step: Step): number | undefined {
  if (step.endTime === undefined) return undefined;
  return (micro(step.endTime) - micro(step.startTime)) / 1e6;
}

function micro(text: string): number {
  const fraction = /\.(\d+)Z$/.exec(text)?.[1] ?? '';
  return (
    Date.parse(text.replace(/\.\d+Z$/, 'Z')) * 1000 + Number(fraction.padEnd(6, '0').slice(0, 6))
  );
}
