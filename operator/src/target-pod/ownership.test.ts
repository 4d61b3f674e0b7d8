// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { accepted, migration, target } from '../../testing/objects.ts';
import { isTargetOf } from './ownership.ts';

describe('a pod with a request’s annotation', () => {
  const made = target('request-uid');
  const named = { nodeName: 'b', podName: 'p-reque' };

  it('is its target by name and UID', () => {
    expect(isTargetOf(made, accepted())).toBe(true);
    expect(isTargetOf(made, accepted({ target: named })), 'not recorded yet').toBe(true);
  });

  it.each<[string, Parameters<typeof isTargetOf>]>([
    ['of another request', [target('other-uid'), accepted()]],
    ['with another name', [target('request-uid', { metadata: { name: 'mine' } }), accepted()]],
    ['with another UID', [target('request-uid', { metadata: { uid: 'mine' } }), accepted()]],
    ['before the request has a target', [made, migration()]],
  ])('is not, %s', (_name, [pod, request]) => {
    expect(isTargetOf(pod, request)).toBe(false);
  });
});
