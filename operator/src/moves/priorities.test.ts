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

  it('has a request pass no other before the policy that bounds it is known', () => {
    const bold = { priority: 9000, isNew: true };
    const meek = { priority: -1, age: 40, isNew: true };
    const queue = queueOf(request('a', { age: 30 }), request('bold', bold), request('meek', meek));
    expect(order(queue)).toEqual(['a', 'bold', 'meek']);
    expect(queue.look(request('bold', bold), {}), 'no policy applies').toMatchObject({
      ...{ position: 1, priority: 9000, older: [] },
    });
    queue.update(request('bold', { priority: 9000, policy: 0 }), request('bold', bold));
    expect(order(queue)).toEqual(['a', 'bold', 'meek']);
    queue.update(request('bold', { priority: 9000 }), request('bold', bold));
    expect(order(queue), 'no policy applies').toEqual(['bold', 'a', 'meek']);
  });

  it('gives a place to none of the many that claim to be urgent and were not looked at yet', () => {
    const bold = { priority: 10_000, isNew: true };
    const many = Array.from({ length: 600 }, (_, number) => request(`bold-${number}`, bold));
    const a = request('a', { age: 30 });
    const queue = queueOf(...many, a);
    expect(queue.look(a)).toMatchObject({ position: 1, older: [] });
    expect(queueCause({ from: 'a', to: 'b' }, queue.look(a))).toBeUndefined();
  });

  it.each([
    ['a policy has it wait for longer', { isNew: true }, -1],
    ['its policy has got a lower priority', { policy: 50 }, -1],
    ['its policy is gone', { policy: 50 }, undefined],
  ])('counts no request before itself: %s', async (_name, parts, queuePriority) => {
    const own = request('own', parts);
    const queue = queueOf(own, request('last', { priority: -100 }));
    const policy = queuePriority === undefined ? undefined : { name: 'p', queuePriority };
    const seen = queue.look(own, policy ?? {});
    expect(seen).toMatchObject({ position: 1, priority: queuePriority ?? 0, older: [] });
    const move = { from: 'a', to: 'b', policy };
    expect(queueCause(move, seen)).toBeUndefined();
    expect(await queue.accept(own, move, () => Promise.resolve(true))).toBe(true);
  });

  it('says the same place to a request behind others, whichever side its own entry is on', () => {
    const own = request('own', { policy: 50 });
    const queue = queueOf(own, request('a', { age: 30 }), request('b', { age: -30 }));
    const place = (queuePriority?: number): unknown[] => {
      const { position, older } = queue.look(own, { queuePriority });
      return [position, older.map(({ key }) => key.replace('default/', ''))];
    };
    expect(place(50)).toEqual([1, []]);
    expect(place()).toEqual([2, ['a']]);
    expect(place(-50)).toEqual([3, ['a', 'b']]);
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
    const bold = request('bold', { priority: 9000 });
    const a = request('a', { age: 30 });
    const queue = queueOf(a, bold);
    const policy = { name: 'p', queuePriority: 0 };
    const move = { from: 'a', to: 'b', policy };
    const accept = (): Promise<boolean> => queue.accept(bold, move, () => Promise.resolve(true));
    await expect(accept()).rejects.toThrow(/no longer the turn/);
    queue.update(undefined, a);
    expect(await accept()).toBe(true);
  });
});
