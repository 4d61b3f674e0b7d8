// SPDX-License-Identifier: Apache-2.0
// The order of requests that wait, by their priority and that of their policy.
import { describe, expect, it } from 'vitest';
import type { MigrationRequest } from '../../../crds/src/index.ts';
import { at, migration } from '../../testing/objects.ts';
import { queueCause } from './limits.ts';
import { MoveQueue } from './move-queue.ts';

interface Parts {
  /** Seconds. */
  readonly age?: number;
  readonly priority?: number;
  readonly policy?: number;
  readonly isNew?: boolean;
}
const wait = { queue: { position: 1, waitsFor: 'Cluster', sourceNodeName: 'a' } };
const request = (
  name: string,
  { age = 0, priority, policy, isNew }: Parts = {},
): MigrationRequest =>
  migration({
    metadata: { name, uid: `uid-${name}`, creationTimestamp: at(-age) },
    spec: { priority },
    status: {
      ...(isNew ? {} : wait),
      ...(policy !== undefined && { policy: { name: 'p', generation: 1, queuePriority: policy } }),
    },
  });
const last = request('z', { priority: -10_000 });
const order = (queue: MoveQueue): string[] =>
  queue.look(last).older.map(({ key }) => key.replace('default/', ''));
const queueOf = (...all: MigrationRequest[]): MoveQueue => {
  const queue = new MoveQueue({ cluster: 1, perNode: 1 });
  for (const one of all) queue.update(one, undefined);
  return queue;
};

describe('the queue', () => {
  it('has the highest priority first, then the oldest', () => {
    const queue = queueOf(
      request('old', { age: 100 }),
      request('urgent', { priority: 50 }),
      request('by-policy', { policy: 50, age: 1 }),
      request('too-much', { priority: 9000, policy: -1 }),
      request('waits-for-an-hour', { priority: -1, age: 3600 }),
    );
    expect(order(queue)).toEqual(['waits-for-an-hour', 'by-policy', 'urgent', 'old', 'too-much']);
  });

  it('says where a request stands by the policy that applies now', () => {
    const queue = queueOf(request('old', { age: 100 }));
    const urgent = request('urgent', { priority: 50 });
    expect(queue.look(urgent)).toMatchObject({ position: 1, priority: 50 });
    expect(queue.look(urgent, { queuePriority: 1 })).toMatchObject({ position: 2, priority: 1 });
    expect(queue.look(request('r'), { queuePriority: 50 }).position).toBe(1);
  });

  it('is the same one after every change of a priority', () => {
    const queue = queueOf(request('a', { age: 30 }), request('b', { age: 20 }), request('c'));
    const woken: string[] = [];
    queue.open((key) => woken.push(key));
    queue.update(request('c', { priority: 5 }), request('c'));
    expect(order(queue)).toEqual(['c', 'a', 'b']);
    expect(woken, 'it is the first now').toContain('default/c');
    queue.update(request('c', { priority: -5 }), request('c', { priority: 5 }));
    expect(order(queue)).toEqual(['a', 'b', 'c']);
    expect(woken).toContain('default/a');
    queue.update(undefined, request('c', { priority: -5 }));
    queue.update(undefined, request('a', { age: 30 }));
    expect(order(queue)).toEqual(['b']);
  });

  it('puts a request that was not looked at yet where its policy puts it', () => {
    const bold = { priority: 9000, isNew: true };
    const queue = queueOf(request('a', { age: 30 }), request('bold', bold));
    expect(order(queue)).toEqual(['bold', 'a']);
    queue.update(request('bold', { priority: 9000, policy: 0 }), request('bold', bold));
    expect(order(queue)).toEqual(['a', 'bold']);
  });

  it('lets a higher priority take the place that becomes free, whoever asks first', async () => {
    const move = { from: 'a', to: 'b' };
    const queue = queueOf(request('a', { age: 30 }), request('urgent', { priority: 50 }));
    const accepted = Promise.resolve(true);
    expect(queueCause(move, queue.look(request('a', { age: 30 })))).toBe('OlderRequests');
    const early = queue.accept(request('a', { age: 30 }), move, () => accepted);
    await expect(early).rejects.toThrow(/no longer the turn/);
    expect(await queue.accept(request('urgent', { priority: 50 }), move, () => accepted)).toBe(
      true,
    );
  });

  it('accepts by the policy that applies, not by what a request asks for', async () => {
    const queue = queueOf(request('a', { age: 30 }));
    const policy = { name: 'p', queuePriority: 0 };
    const bold = queue.accept(
      request('bold', { priority: 9000 }),
      { from: 'a', to: 'b', policy },
      () => Promise.resolve(true),
    );
    await expect(bold).rejects.toThrow(/no longer the turn/);
  });
});
