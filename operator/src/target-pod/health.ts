// SPDX-License-Identifier: Apache-2.0
// What can go wrong with a target pod before its agent can report it. Pure.
import type { ContainerStatus, Pod } from '../../../kube/src/index.ts';
import type { Refusal } from '../refusal.ts';

/** The scheduler's cache may be old: a node that was just freed still looks full to it. By the operator's own clock. */
export const unschedulableGraceMs = 15_000;
/** A pod that the scheduler does not even refuse: it is gated, its scheduler does not run, or fails. It keeps places from others. */
export const unplacedGraceMs = 60_000;

/** Waiting reasons with which the kubelet only repeats what has failed. */
const fatalWaiting = new Set([
  'CrashLoopBackOff',
  'CreateContainerConfigError',
  'CreateContainerError',
  'RunContainerError',
  'ErrImageNeverPull',
  'InvalidImageName',
]);

/** With these the kubelet tries again. The source still runs, so the operator waits until the prepare deadline. */
const pulling = new Set(['ErrImagePull', 'ImagePullBackOff']);

export interface TargetProblem {
  readonly refusal?: Refusal;
  /** Another node may take the pod: this one has no room for it, or its kubelet has refused it and has made nothing of it. */
  readonly isOfNode?: true;
  /** Look again after this time. */
  readonly recheckMs?: number;
}

/** Whether a pod has no node, and the scheduler makes no room for it on one by ending pods of lower priority. */
const isUnplaced = ({ spec, status }: Pod): boolean =>
  !spec.nodeName && status.nominatedNodeName === '';

/** Whether the scheduler has found no node either. */
const isUnschedulable = ({ status }: Pod): boolean =>
  scheduledOf(status)?.reason === 'Unschedulable';

/** What to count the time of that a pod has no node; undefined: it has, or gets one. */
export function unplacedSince(pod: Pod): string | undefined {
  if (!isUnplaced(pod)) return undefined;
  return `${pod.metadata.uid} ${isUnschedulable(pod) ? 'is refused' : 'waits'}`;
}

const scheduledOf = ({
  conditions,
}: Pod['status']): Pod['status']['conditions'][number] | undefined =>
  conditions.find((one) => one.type === 'PodScheduled' && one.status === 'False');

/**
 * @param unschedulableMs for how long the operator has seen it so (`unplacedSince`)
 * @param isPrepared the source may be held, so that nothing is tried again
 */
export function targetProblem(
  pod: Pod,
  unschedulableMs: number,
  isPrepared: boolean,
): TargetProblem {
  if (isUnplaced(pod) && isUnschedulable(pod)) {
    const recheckMs = unschedulableGraceMs - unschedulableMs;
    if (recheckMs > 0) return { recheckMs };
    const why = scheduledOf(pod.status)?.message ?? '';
    const message = `The scheduler found no room for target pod ${pod.metadata.name}: ${why}`;
    return { ...failed('TargetUnschedulable', message), isOfNode: true };
  }
  if (pod.metadata.deletionTimestamp !== undefined) {
    return failed(
      'TargetGone',
      `The target pod ${pod.metadata.name} is being deleted, and not by the operator. Create a new request to try again.`,
    );
  }
  if (pod.status.phase === 'Failed' || pod.status.phase === 'Succeeded') {
    const why = pod.status.message || pod.status.reason || 'no reason given';
    const message = `The target pod ${pod.metadata.name} ended in phase ${pod.status.phase}: ${why}`;
    const isRefused = pod.status.phase === 'Failed' && statuses(pod).length === 0;
    return { ...failed('TargetFailed', message), ...(isRefused && { isOfNode: true }) };
  }
  return isUnplaced(pod)
    ? unplacedProblem(pod, unschedulableMs)
    : containerProblem(pod, isPrepared);
}

function unplacedProblem(pod: Pod, unplacedMs: number): TargetProblem {
  const recheckMs = unplacedGraceMs - unplacedMs;
  if (recheckMs > 0) return { recheckMs };
  const said = scheduledOf(pod.status);
  const why = said ? explain(said) : 'no scheduler has said anything of it: see its schedulerName';
  const message = `Target pod ${pod.metadata.name} got no node within ${unplacedGraceMs / 1000} s (${why}).`;
  return { ...failed('TargetUnschedulable', message), isOfNode: true };
}

function containerProblem(pod: Pod, isPrepared: boolean): TargetProblem {
  for (const container of statuses(pod)) {
    const { waiting, terminated } = container.state;
    const isFatal =
      waiting && (fatalWaiting.has(waiting.reason) || (isPrepared && pulling.has(waiting.reason)));
    if (waiting && isFatal) {
      return failed(
        'TargetFailed',
        `Container ${container.name} of the target pod cannot start: ${explain(waiting)}`,
      );
    }
    if (terminated) {
      return failed(
        'TargetFailed',
        `Container ${container.name} of the target pod ended: ${explain(terminated)}`,
      );
    }
  }
  return {};
}

/** The kubelet's reason and message, as far as there are any. */
const explain = ({ reason, message }: { reason: string; message: string }): string =>
  [reason, message].filter((one) => one !== '').join(': ') || 'no reason given';

/** Sidecars included: a target has no other init containers. */
const statuses = (pod: Pod): ContainerStatus[] => [
  ...pod.status.initContainerStatuses,
  ...pod.status.containerStatuses,
];

function failed(reason: Refusal['reason'], message: string): TargetProblem {
  return { refusal: { reason, message: message.slice(0, 2000) } };
}

/** How far the pod is, for a condition's message. */
export function targetProgress(pod: Pod): string {
  if (!pod.spec.nodeName) return `Pod ${pod.metadata.name} waits for the scheduler.`;
  const wait = waitOf(pod);
  const what = wait === undefined ? '' : ` (${wait})`;
  return `Pod ${pod.metadata.name} is being prepared on ${pod.spec.nodeName}${what}.`;
}

/** What the first container waits for, as its kubelet says; undefined if none waits. */
export function waitOf(pod: Pod): string | undefined {
  const container = statuses(pod).find((one) => one.state.waiting?.reason);
  if (!container?.state.waiting) return undefined;
  return `container ${container.name}: ${explain(container.state.waiting)}`.slice(0, 1000);
}
