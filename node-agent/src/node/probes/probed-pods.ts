// SPDX-License-Identifier: Apache-2.0
// Whose probes the agent answers, from its journal. Pure.
import { isOver, type Entry } from '../../support/journal/journal.ts';
import type { ProbedPod } from './probe-answers.ts';

/** The pods of the requests under way that have network probes. */
export function probedPods(entries: readonly Entry[]): ProbedPod[] {
  return entries.flatMap((entry) => {
    const { probes, netns } = entry;
    return probes && !isOver(entry) ? [{ ...probes, netns }] : [];
  });
}
