// SPDX-License-Identifier: Apache-2.0
// The operator's clock and this node's differ by hours, to either side.
import { describe, expect, it } from 'vitest';
import { FakeClock, timestamp } from '../../../kube/src/index.ts';
import { migration } from '../testing/objects.ts';
import type { Entry } from '../support/journal/journal.ts';
import { blackoutDeadline, deadlineField, LocalDeadlines } from './local-deadlines.ts';

const HOUR = 3_600_000;

describe('a deadline of the operator', () => {
  it.each([0, -5 * HOUR, 5 * HOUR, -24 * 365 * HOUR])(
    'lasts as long by this node’s clock: the operator’s is %s ms ahead',
    async (skew) => {
      const clock = new FakeClock();
      const seen = new LocalDeadlines(clock);
      const begun = clock.now();
      const written = timestamp(begun + skew + 100_000);
      expect(seen.at('u', undefined, 100)).toBeUndefined();
      expect(seen.at('u', written, 100)).toBe(begun + 100_000);
      await clock.advance(40_000);
      expect(seen.at('u', written, 100)).toBe(begun + 100_000);
      // A new deadline, as of a request that begins again.
      expect(seen.at('u', timestamp(begun + skew + 140_000), 100)).toBe(begun + 140_000);
      expect(seen.at('other', written, 7)).toBe(begun + 47_000);
      seen.forget('u');
      expect(seen.at('u', written, 100)).toBe(begun + 140_000);
    },
  );

  it('is the journal’s after a restart', () => {
    const clock = new FakeClock();
    const request = migration({ deadlines: { blackout: '2016-01-01T00:00:00Z' } });
    const at = blackoutDeadline(new LocalDeadlines(clock), request, undefined);
    expect(at).toBe(clock.now() + 100_000);
    const entry = deadlineField(at) as Entry;
    const later = new LocalDeadlines(new FakeClock(clock.now() + 50_000));
    expect(blackoutDeadline(later, request, entry)).toBe(at);
    expect(blackoutDeadline(later, migration(), undefined)).toBeUndefined();
    expect(deadlineField(undefined)).toEqual({});
  });
});
