// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { MigrationRequest } from '../../../crds/src/index.ts';
import { FakeClock } from '../../../kube/src/index.ts';
import { at, migration, succeeded } from '../../testing/objects.ts';
import { lookAhead, queueCause } from './limits.ts';
import { MoveQueue } from './move-queue.ts';

type Parts = Parameters<typeof migration>[0];
const request = (name: string, parts: Parts = {}): MigrationRequest =>
  migration({
    ...parts,
    metadata: { name, uid: `uid-${name}`, creationTimestamp: at(0), ...parts?.metadata },
  });
const places = { source: { nodeName: 'a' }, target: { nodeName: 'b' } };
const running = (name: string): MigrationRequest => request(name, { status: places });
const finished = (name: string): MigrationRequest =>
  request(name, { status: { ...places, conditions: [succeeded('True', 'Moved')] } });
const waiting = (name: string): MigrationRequest => {
  const queue = { position: 1, waitsFor: 'SourceNode', sourceNodeName: 'a' };
  return request(name, { status: { queue } });
};
const total = (queue: MoveQueue): number => queue.look(request('z')).underWay.total;
const ahead = (queue: MoveQueue, name: string): string[] =>
  queue.look(request(name)).older.map((one) => one.key);

describe('the queue of migrations', () => {
  it('knows from the objects alone what is under way and what waits', () => {
    const queue = new MoveQueue();
    for (const one of [running('r'), waiting('w2'), finished('f'), waiting('w1'), request('n')]) {
      queue.update(one, undefined);
    }
    expect(total(queue)).toBe(1);
    expect(ahead(queue, 'n')).toEqual([]);
    expect(ahead(queue, 'w2')).toEqual(['default/n', 'default/w1']);
    expect(ahead(queue, 'z')).toEqual(['default/n', 'default/w1', 'default/w2']);
    queue.update(undefined, waiting('w1'));
    queue.update(finished('r'), running('r'));
    expect([total(queue), ahead(queue, 'z')]).toEqual([0, ['default/n', 'default/w2']]);
  });

  it('lets a new request delay those behind it only until it should have been looked at', async () => {
    const clock = new FakeClock();
    const queue = new MoveQueue({ cluster: 5, perNode: 1 }, clock);
    queue.update(request('n'), undefined);
    const causeOf = (name: string): unknown =>
      queueCause({ from: 'a', to: 'b' }, queue.look(request(name)));
    expect(causeOf('n')).toBeUndefined();
    expect(causeOf('z')).toBe('OlderRequests');
    await clock.advance(9_999);
    queue.update(request('n', { metadata: { resourceVersion: '2' } }), request('n'));
    expect(causeOf('z')).toBe('OlderRequests');
    await clock.advance(1);
    expect(causeOf('z')).toBeUndefined();
  });

  it('tells the next in the queue when a place becomes free', () => {
    const queue = new MoveQueue({ cluster: 1, perNode: 1 });
    for (const one of [running('r'), waiting('w1'), waiting('w2')]) queue.update(one, undefined);
    const woken: string[] = [];
    queue.open((key) => woken.push(key));
    queue.update(finished('r'), running('r'));
    expect(woken).toEqual(['default/w1']);
    queue.update(undefined, waiting('w1'));
    expect(woken).toEqual(['default/w1', 'default/w2']);
  });

  it('keeps a place on each node that the scheduler may choose, until it has', () => {
    const queue = new MoveQueue({ cluster: 5, perNode: 1 });
    const open = request('o', {
      status: { source: { nodeName: 'x' }, target: { candidates: ['b', 'c'] } },
    });
    queue.update(open, undefined);
    const cause = (to: string): unknown => queueCause({ from: 'a', to }, queue.look(request('z')));
    expect(['b', 'c', 'd'].map(cause)).toEqual(['TargetNode', 'TargetNode', undefined]);
    const several = (candidates: string[]): unknown =>
      queueCause({ from: 'a', to: undefined, candidates }, queue.look(request('z')));
    expect([several(['c', 'd']), several(['d', 'e'])]).toEqual(['TargetNode', undefined]);
    queue.update(waiting('w1'), undefined);
    const woken: string[] = [];
    queue.open((key) => woken.push(key));
    const chosen = request('o', {
      status: { source: { nodeName: 'x' }, target: { nodeName: 'b' } },
    });
    queue.update(chosen, open);
    expect(['b', 'c'].map(cause)).toEqual(['TargetNode', 'OlderRequests']);
    expect(woken).toEqual(['default/w1']);
    queue.update(undefined, waiting('w1'));
    queue.update(undefined, chosen);
    expect(['b', 'c'].map(cause)).toEqual([undefined, undefined]);
  });

  it('tells those near the head that their position has changed', () => {
    const queue = new MoveQueue({ cluster: 3, perNode: 1 });
    const names = ['w1', 'w2', 'w3', 'w4', 'w5'];
    for (const one of [running('r'), ...names.map(waiting)]) queue.update(one, undefined);
    const woken: string[] = [];
    queue.open((key) => woken.push(key));
    queue.update(undefined, waiting('w2'));
    expect(woken).toEqual(['default/w3', 'default/w4']);
    queue.update(running('w1'), waiting('w1'));
    expect(woken.slice(2)).toEqual(['default/w3', 'default/w4', 'default/w5']);
  });

  it('accepts one at a time, and counts it before the informer has seen it', async () => {
    const queue = new MoveQueue({ cluster: 1, perNode: 1 });
    const move = { from: 'a', to: 'b' };
    const order: string[] = [];
    const write = (name: string) => async (): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      order.push(name);
    };
    const results = await Promise.allSettled(
      ['1', '2'].map((name) => queue.accept(request(name), move, write(name))),
    );
    expect(order).toEqual(['1']);
    expect(results[1]).toMatchObject({ reason: { code: 'Conflict' } });
    // An older version, on its way when the acceptance was written.
    queue.update(waiting('1'), undefined);
    expect(queueCause(move, queue.look(request('2')))).toBe('Cluster');
    queue.update(running('1'), waiting('1'));
    queue.update(finished('1'), running('1'));
    expect(total(queue)).toBe(0);
  });

  it('gives the place back when the acceptance cannot be written', async () => {
    const queue = new MoveQueue({ cluster: 1, perNode: 1 });
    const refuse = (): Promise<void> => Promise.reject(new Error('no'));
    await expect(queue.accept(request('1'), { from: 'a', to: 'b' }, refuse)).rejects.toThrow('no');
    expect(total(queue)).toBe(0);
  });

  it('does not mistake a request for its namesake', () => {
    const queue = new MoveQueue();
    queue.update(running('r'), undefined);
    const namesake = request('r', { metadata: { uid: 'other' } });
    queue.update(namesake, running('r'));
    expect(total(queue)).toBe(0);
  });

  it('looks at the first only, however many wait', () => {
    const queue = new MoveQueue();
    const count = 3 * lookAhead;
    for (let n = 0; n < count; n++) queue.update(waiting(`w${(n * 7919) % count}`), undefined);
    const seen = queue.look(request('z'));
    expect([seen.position, seen.older.length]).toEqual([count + 1, lookAhead]);
    expect(seen.older[1]?.key).toBe('default/w1');
  });
});
