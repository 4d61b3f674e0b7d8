// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { MigrationPolicy, MigrationRequest, priorityOf, turnOf } from './index.ts';

const request = (priority?: number, policy?: object) => ({
  spec: { priority },
  ...(policy && { status: { policy } }),
});

describe('the priority of a request', () => {
  it.each<[string, number | undefined, object | undefined, number]>([
    ['none', undefined, undefined, 0],
    ['its own', 5, undefined, 5],
    ['its own where the policy says none', 5, {}, 5],
    ['the policy’s where it says none', undefined, { queuePriority: 7 }, 7],
    ['the policy’s where it asks for more', 9, { queuePriority: 7 }, 7],
    ['its own where it asks for less', -3, { queuePriority: 7 }, -3],
    ['a negative one of the policy', undefined, { queuePriority: -7 }, -7],
    ['0, and not the policy’s', 0, { queuePriority: 7 }, 0],
    ['never above a policy’s 0', 9, { queuePriority: 0 }, 0],
  ])('is %s', (_name, own, policy, wanted) => {
    expect(priorityOf(request(own, policy))).toBe(wanted);
  });

  it('is by the policy that is given, whatever the status says', () => {
    expect(priorityOf(request(undefined, { queuePriority: 7 }), { queuePriority: 2 })).toBe(2);
    expect(priorityOf(request(undefined, { queuePriority: 7 }), undefined)).toBe(7);
  });

  it('is refused by name beyond a week', () => {
    const parse = (priority: unknown) =>
      MigrationRequest.safeParse({ metadata: { name: 'a' }, spec: { podName: 'p', priority } });
    for (const one of [10_001, -10_001, 1.5, '5', null]) {
      expect(parse(one).error?.issues[0]?.path, String(one)).toEqual(['spec', 'priority']);
    }
    for (const one of [10_000, -10_000, 0, undefined]) expect(parse(one).success).toBe(true);
    const policy = { metadata: { name: 'a' }, spec: { queuePriority: 10_001 } };
    expect(MigrationPolicy.safeParse(policy).error?.issues[0]?.path).toEqual([
      'spec',
      'queuePriority',
    ]);
  });
});

describe('the turn of a request', () => {
  const at = (minutes: number): string => new Date(minutes * 60_000).toISOString();
  it('is a minute earlier for each point, so that no request waits for ever', () => {
    expect(turnOf({ creationTimestamp: at(10), priority: 3 })).toBe(7 * 60_000);
    expect(turnOf({ creationTimestamp: at(10), priority: -3 })).toBe(13 * 60_000);
    expect(turnOf({ creationTimestamp: at(10), priority: 0 })).toBe(10 * 60_000);
  });
});
