// SPDX-License-Identifier: Apache-2.0
// Conditions: every plan computes them again; a condition keeps the time of its last change.
import type { Condition, ConditionStatus } from '../../crds/src/index.ts';
import { timestamp } from './clock.ts';

export interface ConditionValue {
  readonly type: string;
  readonly status: ConditionStatus;
  readonly reason: string;
  readonly message?: string | undefined;
}

const maxMessage = 4096;

/**
 * @param now milliseconds since the epoch; becomes lastTransitionTime only when the status changes.
 * @returns a new list in the old order, the condition replaced or appended.
 */
export function setCondition(
  conditions: readonly Condition[],
  value: ConditionValue,
  now: number,
  generation?: number,
): Condition[] {
  const old = conditions.find((condition) => condition.type === value.type);
  const next: Condition = {
    type: value.type,
    status: value.status,
    ...(generation !== undefined ? { observedGeneration: generation } : {}),
    lastTransitionTime: old?.status === value.status ? old.lastTransitionTime : timestamp(now),
    reason: value.reason,
    message: (value.message ?? '').slice(0, maxMessage),
  };
  return old
    ? conditions.map((condition) => (condition === old ? next : condition))
    : [...conditions, next];
}

export function getCondition(
  conditions: readonly Condition[] | undefined,
  type: string,
): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

export function isTrue(conditions: readonly Condition[] | undefined, type: string): boolean {
  return getCondition(conditions, type)?.status === 'True';
}
