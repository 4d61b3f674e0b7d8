// SPDX-License-Identifier: Apache-2.0
// Whether the restored containers still run, or the kubelet has started one from nothing. Pure.
import type { TargetAgent } from '../../../crds/src/index.ts';
import type { ContainerStatus, Pod } from '../../../kube/src/index.ts';

/**
 * A restart count alone says nothing: a restore that failed and was made once more before anything of it ran counts as a
 * restart too. So what counts is an end since the agent began to let containers run: it may have taken until long after
 * the first of them ran, because the agent was restarted. Both times are of the target's node, to the second.
 * @returns what happened to which container, as the end of a sentence; undefined if nothing did
 */
export function restartAfterResume(
  pod: Pod,
  targetAgent: Pick<TargetAgent, 'resumedAt'> | undefined,
): string | undefined {
  const resumedAt = wholeSecond(targetAgent?.resumedAt);
  if (resumedAt === undefined) return undefined;
  for (const status of [...pod.status.initContainerStatuses, ...pod.status.containerStatuses]) {
    const [last, current] = [status.lastState.terminated, status.state.terminated];
    if (last && isAfter(last, resumedAt)) {
      return `${status.name} ended with exit code ${last.exitCode} after it was resumed, and was started from nothing`;
    }
    if (current && isAfter(current, resumedAt) && startsAgain(pod, status, current.exitCode)) {
      return `${status.name} ended with exit code ${current.exitCode} after it was resumed, and is being started from nothing`;
    }
  }
  return undefined;
}

const isAfter = (
  end: { readonly finishedAt?: string | null | undefined },
  since: number,
): boolean => (wholeSecond(end.finishedAt) ?? -Infinity) >= since;

/** The kubelet reports whole seconds; agents write microseconds. */
function wholeSecond(time: string | null | undefined): number | undefined {
  const at = Date.parse(time ?? '');
  return Number.isNaN(at) ? undefined : Math.floor(at / 1000);
}

/** Whether the kubelet starts a container that has ended. Sidecars are always started again. */
function startsAgain(pod: Pod, { name }: ContainerStatus, exitCode: number): boolean {
  if (pod.spec.initContainers.some((one) => one.name === name)) return true;
  const policy = pod.spec.restartPolicy ?? 'Always';
  return policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0);
}
