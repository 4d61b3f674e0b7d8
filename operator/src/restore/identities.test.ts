// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { Identities } from './identities.ts';
import type { PodIdentity } from './types.ts';

const seenFree = (): Promise<PodIdentity> => Promise.resolve({ networks: '[]', keepsDevice: true });
const done = (): Promise<void> => Promise.resolve();
const look = async (identities: Identities, key: string): Promise<PodIdentity> =>
  (await identities.of(key, `uid-${key}`, seenFree)) as PodIdentity;

describe('what a restored pod gets', () => {
  it('is given once, whoever looked first', async () => {
    const identities = new Identities(() => 0);
    const [a, b] = [await look(identities, 'a'), await look(identities, 'b')];
    await identities.give('b', b, done);
    const late = identities.give('a', a, () => expect.fail('created'));
    await expect(late).rejects.toMatchObject({ code: 'Conflict' });
    await identities.give('a', await look(identities, 'a'), done);
  });

  it('is not known from a look during which another pod has got it', async () => {
    const identities = new Identities(() => 0);
    const b = await look(identities, 'b');
    const { promise, resolve } = Promise.withResolvers<PodIdentity>();
    const looking = identities.of('a', 'uid-a', () => promise);
    await identities.give('b', b, done);
    resolve({ keepsDevice: true });
    const a = (await looking) as PodIdentity;
    await expect(identities.give('a', a, done)).rejects.toMatchObject({ code: 'Conflict' });
    expect(await look(identities, 'a'), 'it is looked again').not.toBe(a);
  });

  it('is kept in mind for its own request when the creation fails, and for no other', async () => {
    const identities = new Identities(() => 0);
    const [a, b] = [await look(identities, 'a'), await look(identities, 'b')];
    const failed = identities.give('a', a, () => Promise.reject(new Error('down')));
    await expect(failed).rejects.toThrow('down');
    expect(await look(identities, 'a')).toBe(a);
    expect(await look(identities, 'b')).not.toBe(b);
    await identities.give('a', a, done);
  });

  it('keeps none waiting that gets nothing which another could have', async () => {
    const identities = new Identities(() => 0);
    const { promise, resolve } = Promise.withResolvers<void>();
    const order: string[] = [];
    const add = (name: string) => () => Promise.resolve(void order.push(name));
    const a = identities.give('a', { keepsDevice: true }, () => promise.then(add('a')));
    const c = identities.give('c', { keepsDevice: true }, add('c'));
    await identities.give('b', { keepsDevice: false }, add('b'));
    resolve();
    await Promise.all([a, c]);
    expect(order).toEqual(['b', 'a', 'c']);
  });
});
