// SPDX-License-Identifier: Apache-2.0
// What an aborted move costs the application: the time from the source's lock to the end of its resume, by its node's clock.
import type { MigrationRequest } from '../../crds/src/index.ts';

/** Milliseconds. 0: the source was never locked. Undefined: it has not resumed. */
export function abortCost(request: MigrationRequest): number | undefined {
  const steps = request.status?.sourceAgent?.steps ?? [];
  const begun = steps.find((step) => step.name === 'hold')?.startTime;
  if (begun === undefined) return 0;
  const ended = steps.find((step) => step.name === 'resume')?.endTime;
  return ended === undefined ? undefined : Date.parse(ended) - Date.parse(begun);
}
