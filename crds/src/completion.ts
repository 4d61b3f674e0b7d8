// SPDX-License-Identifier: Apache-2.0
// A pod that has completed before it was moved: operator and agent say the same of it.

/**
 * How long the kubelet may take to report that a pod has completed. The agent sees at once that no container runs, and
 * cannot tell a pod that has done its work from a lost one.
 */
export const completionGraceMs = 10_000;

/** A pod as the API server has it, as far as its completion goes. */
export interface MayComplete {
  spec: { restartPolicy?: string | null | undefined };
  status: { phase?: string | null | undefined };
}

/** Whether every container has ended with exit code 0 and is not started again. */
export const hasCompleted = ({ status }: Pick<MayComplete, 'status'>): boolean =>
  status.phase === 'Succeeded';

/** Whether a pod without containers may yet be reported as completed: the kubelet does not start them again. */
export const mayYetComplete = ({ spec, status }: MayComplete): boolean =>
  status.phase === 'Running' && (spec.restartPolicy ?? 'Always') !== 'Always';

/** The decision's reason and message. @param pod its name */
export const podCompleted = (pod: string): { reason: 'PodCompleted'; message: string } => ({
  reason: 'PodCompleted',
  message: `The source pod ${pod} has completed: its containers ended with exit code 0 before the pod was moved. There is nothing left to move.`,
});
