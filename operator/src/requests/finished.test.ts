// SPDX-License-Identifier: Apache-2.0
// How long a finished request is kept, however often the operator starts anew and wherever.
import { describe, expect, it } from 'vitest';
import type { FinishedSeen, MigrationRequest } from '../../../crds/src/index.ts';
import { at, migration, NOW, succeeded } from '../../testing/objects.ts';
import { FinishedTimes, remainingMs } from './finished.ts';

const hour = 3_600_000;
const minute = 60_000;
const finished = (finishedSeen?: FinishedSeen[]): MigrationRequest =>
  migration({
    status: { completionTime: at(0), finishedSeen, conditions: [succeeded('True', 'Moved')] },
  });

describe('a finished request', () => {
  it('is counted from when a process first sees it, whatever the clock of the one before', () => {
    for (const ahead of [-hour, hour]) {
      const times = new FinishedTimes();
      expect(times.of(finished(), NOW + ahead)).toEqual({ since: NOW + ahead });
      expect(times.of(finished(), NOW + ahead + 7)).toEqual({ since: NOW + ahead });
      times.forget('request-uid');
      expect(times.of(finished(), NOW + ahead + 9)).toEqual({ since: NOW + ahead + 9 });
    }
  });

  it('is not one that is active', () => {
    expect(new FinishedTimes('a').of(migration(), NOW)).toBeUndefined();
  });

  it('goes on to be counted by the next process of a node', () => {
    const first = new FinishedTimes('a').of(finished(), NOW);
    expect(first).toEqual({ since: NOW, seen: [{ nodeName: 'a', time: at(0) }] });
    const next = new FinishedTimes('a').of(finished(first?.seen), NOW + minute);
    expect(next).toEqual({ since: NOW });
  });

  it('is counted anew on another node, and both know it then', () => {
    const others = [{ nodeName: 'a', time: at(7200) }];
    const now = NOW + minute;
    expect(new FinishedTimes('b').of(finished(others), now)).toEqual({
      since: now,
      seen: [...others, { nodeName: 'b', time: at(60) }],
    });
  });

  it('is counted anew where what was written cannot be read, or is yet to come', () => {
    const broken = [{ nodeName: 'a', time: 'soon' }];
    const wanted = { since: NOW, seen: [{ nodeName: 'a', time: at(0) }] };
    expect(new FinishedTimes('a').of(finished(broken), NOW)).toEqual(wanted);
    const ahead = [{ nodeName: 'a', time: at(3600) }];
    expect(new FinishedTimes('a').of(finished(ahead), NOW)).toEqual({ since: NOW });
  });

  it('is deleted though the leader changes every minute, from node to node', () => {
    let seen: FinishedSeen[] | undefined;
    const ttlSeconds = 600;
    let minutes = 0;
    for (; minutes < 100; minutes++) {
      const node = minutes % 3;
      // Each node has a clock of its own.
      const now = NOW + node * 7 * hour + minutes * minute;
      const times = new FinishedTimes(`node-${node}`);
      const found = times.of(finished(seen), now);
      if (remainingMs(found, ttlSeconds, now) <= 0) break;
      seen = found?.seen ?? seen;
    }
    expect(minutes).toBe(12);
    expect(seen).toHaveLength(3);
  });

  it('is noted for 16 nodes at most', () => {
    const many = Array.from({ length: 16 }, (_, n) => ({ nodeName: `n${n}`, time: at(0) }));
    const { seen } = new FinishedTimes('a').of(finished(many), NOW) ?? {};
    expect(seen).toHaveLength(16);
    expect(seen?.at(-1)?.nodeName).toBe('a');
  });
});
