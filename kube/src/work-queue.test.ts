// SPDX-License-Identifier: Apache-2.0
// Who gets which key, and how often the takers are asked.
import { describe, expect, it } from 'vitest';
import { FakeClock } from './clock.ts';
import { WorkQueue } from './work-queue.ts';

const names = Array.from({ length: 500 }, (_, n) => `key-${n}`);

/** 64 idle takers of urgent keys, and four that take any, as a controller has them. */
function busyQueue(): { queue: WorkQueue; urgent: Set<string>; calls: () => number } {
  const queue = new WorkQueue(new FakeClock());
  const urgent = new Set<string>();
  let count = 0;
  const accepts = (key: string): boolean => {
    count++;
    return urgent.has(key);
  };
  for (let n = 0; n < 64; n++) void queue.take(accepts);
  return {
    ...{ queue, urgent },
    calls: () => {
      const asked = count;
      count = 0;
      return asked;
    },
  };
}

describe('takers of some keys', () => {
  it('are asked once about a key, however many of them and other keys wait', async () => {
    const { queue, calls } = busyQueue();
    for (const name of names) queue.add(name);
    expect(calls()).toBe(500);
    for (const name of names) queue.add(name);
    expect(calls(), 'it may be urgent by now').toBe(500);
    for (const name of names) {
      expect(await queue.take()).toBe(name);
      queue.add(name);
      queue.done(name);
    }
    expect(calls()).toBeLessThanOrEqual(1500);
  });

  it('get a key that waits once it is theirs, and is added again', async () => {
    const { queue, urgent } = busyQueue();
    const mine = queue.take((key) => urgent.has(key));
    for (const name of names) queue.add(name);
    urgent.add('key-7');
    queue.add('key-7');
    expect(queue.length).toBe(499);
    for (let n = 0; n < 64; n++) queue.add(`key-${n}`);
    expect(await queue.take()).toBe('key-0');
    queue.close();
    expect(await mine).toBeUndefined();
  });

  it('get one that became theirs in work when it is given back', async () => {
    const { queue, urgent } = busyQueue();
    queue.add('key-1');
    queue.add('key-2');
    expect(await queue.take()).toBe('key-1');
    queue.add('key-1');
    urgent.add('key-1');
    expect([queue.length, queue.inWork]).toEqual([1, 1]);
    queue.done('key-1');
    expect([queue.length, queue.inWork], 'in work again').toEqual([1, 1]);
    expect(await queue.take()).toBe('key-2');
  });

  it('get the first of those that wait already', async () => {
    const queue = new WorkQueue(new FakeClock());
    for (const name of names) queue.add(name);
    expect(await queue.take((key) => key.endsWith('9'))).toBe('key-9');
    expect(await queue.take((key) => key.endsWith('9'))).toBe('key-19');
    expect(await queue.take()).toBe('key-0');
  });

  it('of different kinds are all asked', async () => {
    const queue = new WorkQueue(new FakeClock());
    const odd = queue.take((key) => key.endsWith('1'));
    const even = queue.take((key) => key.endsWith('2'));
    queue.add('key-3');
    queue.add('key-2');
    queue.add('key-1');
    expect(await Promise.all([odd, even])).toEqual(['key-1', 'key-2']);
    expect(queue.length).toBe(1);
  });
});
