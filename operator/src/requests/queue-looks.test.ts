// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { MigrationRequest } from '../../../crds/src/index.ts';
import { at, migration, NOW } from '../../testing/objects.ts';
import type { MovesSeen } from '../moves/limits.ts';
import { QueueLooks } from './queue-looks.ts';

type Parts = Parameters<typeof migration>[0];
const queue = { position: 7, waitsFor: 'SourceNode', sourceNodeName: 'a' };
const queued = (parts: Parts = {}): MigrationRequest =>
  migration({ status: { queue }, ...parts, metadata: { uid: 'u', ...parts?.metadata } });
/** Two moves leave node a. */
const busy: MovesSeen = {
  limits: { cluster: 5, perNode: 2 },
  underWay: { total: 2, out: new Map([['a', 2]]), into: new Map() },
  ...{ position: 7, older: [] },
};
const free: MovesSeen = { ...busy, underWay: { total: 0, out: new Map(), into: new Map() } };
const full: MovesSeen = { ...busy, underWay: { ...busy.underWay, total: 5 } };

function idleMs(request: MigrationRequest, seen: MovesSeen, afterMs: number): number | undefined {
  const looks = new QueueLooks();
  looks.looked(queued(), NOW);
  return looks.idleMs(request, seen, NOW + afterMs);
}

describe('a request that waits in the queue', () => {
  it('is not looked at again for what the operator has written itself', () => {
    const written = queued({ metadata: { resourceVersion: 'newer' } });
    expect(idleMs(written, busy, 1000)).toBe(29_000);
    expect(new QueueLooks().idleMs(written, busy, NOW)).toBeUndefined();
  });

  it.each<[string, MigrationRequest, MovesSeen, number]>([
    ['when its time has come', queued(), busy, 30_000],
    ['when its place has changed', queued(), { ...busy, position: 6 }, 1],
    ['when it waits for nothing any more', queued(), free, 1],
    ['when it waits for something else', queued(), full, 1],
    ['when it is cancelled', queued({ spec: { cancel: true } }), busy, 1],
    ['when it names another node', queued({ spec: { targetNodeName: 'c' } }), busy, 1],
    ['when it is deleted', queued({ metadata: { deletionTimestamp: at(1) } }), busy, 1],
    ['when it has its turn', queued({ status: { queue, source: { nodeName: 'a' } } }), busy, 1],
    ['when its status is gone', queued({ status: {} }), busy, 1],
  ])('is looked at %s', (_name, request, seen, afterMs) => {
    expect(idleMs(request, seen, afterMs)).toBeUndefined();
  });

  it('is looked at as a new one once it was forgotten', () => {
    const looks = new QueueLooks();
    looks.looked(queued(), NOW);
    looks.forget('u');
    expect(looks.idleMs(queued(), busy, NOW)).toBeUndefined();
  });
});
