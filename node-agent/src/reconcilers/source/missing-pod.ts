// SPDX-License-Identifier: Apache-2.0
// A pod that runs no container any more although the agent has not locked it: completed or lost. The operator tells them
// apart by the pod's phase; the agent sees the end before the kubelet has reported that.
import {
  completionGraceMs,
  hasCompleted,
  mayYetComplete,
  podCompleted,
  type MayComplete,
} from '../../../../crds/src/index.ts';
import { AgentError } from '../../support/errors.ts';
import { lostMessage } from './journal-entry.ts';

/** The kubelet may yet report that the pod has completed: the agent looks again. */
export class CompletionUnknown extends Error {
  constructor(pod: string) {
    super(
      `Pod ${pod} runs no container, and its kubelet has not said yet whether it has completed.`,
    );
    this.name = 'CompletionUnknown';
  }
}

/**
 * Pure.
 * @param pod as the API server has it now
 * @param missingMs since when no container was found, in milliseconds
 * @returns AgentError PodCompleted or SourceLost; CompletionUnknown within the kubelet's grace
 */
export function missingPod(
  name: string,
  pod: MayComplete,
  missingMs: number,
  options: ErrorOptions,
): AgentError | CompletionUnknown {
  if (hasCompleted(pod)) return new AgentError('PodCompleted', podCompleted(name).message, options);
  if (mayYetComplete(pod) && missingMs < completionGraceMs) return new CompletionUnknown(name);
  return new AgentError('SourceLost', lostMessage(name), options);
}
