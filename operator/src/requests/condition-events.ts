// SPDX-License-Identifier: Apache-2.0
// Events for conditions whose status has changed.
import type { Condition } from '../../../crds/src/index.ts';
import type { ApiObject, Resource } from '../../../kube/src/index.ts';
import { requestsFinished } from '../metrics.ts';
import type { Dependencies } from './dependencies.ts';

export interface ConditionEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
  readonly condition: string;
}

/** @returns an event for each condition that became True or False; the summary's is `Failed`'s too. Pure. */
export function conditionEvents(
  before: readonly Condition[] | undefined,
  after: readonly Condition[] | undefined,
): ConditionEvent[] {
  const isFailed = after?.some((one) => one.type === 'Succeeded' && one.status === 'False');
  return (after ?? [])
    .filter((one) => {
      if (one.status === 'Unknown' || one.type === 'Failed') return false;
      // After a failure the summary says what all the others would repeat.
      if (isFailed && one.status === 'False' && one.type !== 'Succeeded') return false;
      return before?.find((other) => other.type === one.type)?.status !== one.status;
    })
    .map((one) => ({
      type: one.status === 'True' ? 'Normal' : 'Warning',
      reason: one.reason,
      message: one.message || `${one.type} is ${one.status}.`,
      condition: one.type,
    }));
}

/** Records events on the request, and the outcome also on the given pod. */
export function recordEvents(
  dependencies: Dependencies,
  resource: Resource<unknown>,
  object: ApiObject,
  list: readonly ConditionEvent[],
  pod?: { readonly resource: Resource<unknown>; readonly object: ApiObject | undefined },
): void {
  for (const { type, reason, message, condition } of list) {
    dependencies.events.record({ resource, object, type, reason, message });
    if (condition !== 'Succeeded') continue;
    requestsFinished.inc({ kind: resource.kind, reason });
    if (pod?.object) {
      const text = `${resource.kind} ${object.metadata.name}: ${message}`;
      dependencies.events.record({
        resource: pod.resource,
        object: pod.object,
        type,
        reason,
        message: text,
      });
    }
  }
}
