// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { pod } from '../../testing/objects.ts';
import { Grants } from './grants.ts';

it('an eviction that was let through counts for a while, and one that goes nowhere not for ever', () => {
  let now = 0;
  const grants = new Grants(() => now);
  const count = (namespace = 'default'): number => grants.pending(namespace).length;
  grants.add(pod());
  expect([count(), count('other')]).toEqual([1, 0]);
  // Somebody else refuses it, and it is asked for every 5 s.
  for (now = 5_000; now < 60_000; now += 5_000) {
    grants.add(pod());
    expect(count()).toBe(now < 10_000 ? 1 : 0);
  }
  grants.add(pod({ metadata: { uid: 'other' } }));
  expect(count()).toBe(1);
  now = 60_000;
  grants.add(pod());
  expect(count()).toBe(2);
});
