// SPDX-License-Identifier: Apache-2.0
// Which checkpoint of a pod has its newest memory.
import { describe, expect, it } from 'vitest';
import { at, checkpoint, stored, succeeded } from '../../testing/objects.ts';
import { newestFirst, storedOf } from './newest-first.ts';

const held = (startTime: string): object => ({
  agent: { state: 'Stored', steps: [{ name: 'hold', startTime }] },
});
const one = (uid: string, status: object, created = at(-100)) =>
  stored({ ...status }, { metadata: { name: uid, uid, creationTimestamp: created } });
const names = (all: ReturnType<typeof one>[]): string[] =>
  newestFirst(storedOf('pod-uid', all)).map(({ metadata }) => metadata.name);

describe('checkpoints of a pod', () => {
  it('are in the order in which its node has held it, whatever a leader says of their end', () => {
    const all = [
      one('old', { ...held('2026-03-04T05:00:00.999999Z'), completionTime: at(7200) }),
      one('new', { ...held('2026-03-04T05:00:01Z'), completionTime: at(-7200) }),
      // The API servers of a cluster have clocks of their own, too.
      one('newest', held('2026-03-04T05:00:01.000001Z'), at(-200)),
    ];
    expect(names(all)).toEqual(['newest', 'new', 'old']);
    expect(names(all.toReversed())).toEqual(['newest', 'new', 'old']);
  });

  it('are in the order of their creation if an agent has not said when', () => {
    const all = [
      one('a', held(at(0)), at(-3)),
      one('b', { completionTime: at(-50) }, at(-1)),
      one('c', held(at(5)), at(-2)),
      one('d', {}, at(-1)),
    ];
    expect(names(all)).toEqual(['d', 'b', 'c', 'a']);
    expect(names(all.toReversed())).toEqual(['d', 'b', 'c', 'a']);
  });

  it('are those of this very pod that have succeeded', () => {
    const all = [
      one('failed', { conditions: [succeeded('False', 'DiskFull')] }),
      one('another-pods', { podUID: 'other' }),
      stored({}, { metadata: { deletionTimestamp: at(0), uid: 'terminating' } }),
      checkpoint({ metadata: { uid: 'active' } }),
    ];
    expect(names(all)).toEqual([]);
    expect(storedOf(undefined, [one('x', {})])).toEqual([]);
  });
});
