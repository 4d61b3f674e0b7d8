// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { KeyedMutex } from './keyed-mutex.ts';

describe('KeyedMutex', () => {
  it('runs one at a time per key, also after a failure', async () => {
    const mutex = new KeyedMutex();
    const order: string[] = [];
    const gate = Promise.withResolvers<void>();
    const first = mutex.run('k', async () => {
      order.push('1+');
      await gate.promise;
      order.push('1-');
      throw new Error('first');
    });
    const second = mutex.run('k', async () => order.push('2'));
    await mutex.run('other', async () => order.push('other'));
    gate.resolve();
    await expect(first).rejects.toThrow('first');
    await second;
    expect(order).toEqual(['1+', 'other', '1-', '2']);
  });
});
