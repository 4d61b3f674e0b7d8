// SPDX-License-Identifier: Apache-2.0
// Places that moves keep whose node the scheduler has not chosen yet.
import { describe, expect, it } from 'vitest';
import type { MigrationRequest } from '../../../crds/src/index.ts';
import { FakeClock } from '../../../kube/src/index.ts';
import { at, migration } from '../../testing/objects.ts';
import { holdsMs, mayBeFull, queueCause } from './limits.ts';
import { MoveQueue } from './move-queue.ts';

const limits = { cluster: 5, perNode: 1 };
const request = (name: string, status: Record<string, unknown> = {}): MigrationRequest =>
  migration({ metadata: { name, uid: `uid-${name}`, creationTimestamp: at(0) }, status });
const open = (name: string, candidates: string[], more: object = {}): MigrationRequest =>
  request(name, { source: { nodeName: 'x' }, target: { candidates, podUID: 'pod' }, ...more });
const held = (queue: MoveQueue): string[] =>
  ['b', 'c', 'd'].filter((node) => mayBeFull(node, queue.look(request('z'))));

describe('a place that is held', () => {
  it('is one alone while the scheduler makes room there', () => {
    const queue = new MoveQueue(limits);
    queue.update(open('o', ['b', 'c', 'd']), undefined);
    queue.update(
      request('w', { queue: { position: 1, waitsFor: 'TargetNode', sourceNodeName: 'a' } }),
      undefined,
    );
    const woken: string[] = [];
    queue.open((key) => woken.push(key));
    queue.nominate('uid-o', 'c');
    expect([held(queue), woken]).toEqual([['c'], ['default/w']]);
    queue.update(open('o', ['b', 'c', 'd']), open('o', ['b', 'c', 'd']));
    expect(held(queue), 'of the same move').toEqual(['c']);
    queue.nominate('uid-o', '');
    expect(held(queue)).toEqual(['b', 'c', 'd']);
    queue.nominate('uid-o', 'elsewhere');
    expect(held(queue), 'by a node that it cannot get').toEqual(['b', 'c', 'd']);
    queue.nominate('uid-o', 'b');
    queue.update(request('o', { source: { nodeName: 'x' }, target: { nodeName: 'd' } }), undefined);
    expect(held(queue)).toEqual(['d']);
    queue.update(undefined, open('o', []));
    queue.nominate('uid-o', 'b');
    expect([held(queue), queue.look(request('z')).underWay.total]).toEqual([[], 0]);
  });

  it('is free once the target was given up', () => {
    const queue = new MoveQueue(limits);
    const tried = ['b', 'c'].map((nodeName) => ({
      nodeName,
      podUID: 'pod',
      reason: 'x',
      message: '',
    }));
    queue.update(open('o', ['b', 'c'], { triedNodes: tried }), undefined);
    expect([held(queue), queue.look(request('z')).underWay.total]).toEqual([[], 1]);
  });

  it('keeps a request waiting for a known time', async () => {
    const clock = new FakeClock();
    const queue = new MoveQueue(limits, clock);
    const waiting = (waitsFor: string): MigrationRequest =>
      request('w', { queue: { position: 1, waitsFor, sourceNodeName: 'a' } });
    const stalled = (): unknown => queue.look(request('w')).stalledMs;
    queue.update(waiting('Cluster'), undefined);
    await clock.advance(60_000);
    expect(stalled()).toBe(0);
    queue.update(waiting('TargetNode'), undefined);
    await clock.advance(10_000);
    queue.update(waiting('TargetNode'), undefined);
    await clock.advance(holdsMs - 10_000);
    expect(stalled()).toBe(holdsMs);
    queue.update(undefined, waiting('TargetNode'));
    expect(stalled()).toBe(0);
  });
});

describe('a move under way', () => {
  const next = { from: 'x', to: undefined, candidates: ['c'] };

  it('goes to other nodes in its turn, whatever waits', async () => {
    const queue = new MoveQueue({ cluster: 1, perNode: 1 });
    const one = open('o', ['b']);
    queue.update(one, undefined);
    queue.update(request('w'), undefined);
    expect(await queue.redirect(one, next, () => Promise.resolve('written'))).toBe('written');
    expect([held(queue), queue.look(request('z')).underWay.total]).toEqual([['c'], 1]);
  });

  it('does not go where another one may be put meanwhile', async () => {
    const queue = new MoveQueue(limits);
    const [one, two] = [open('o', ['b']), open('t', ['d'])];
    for (const each of [one, two]) queue.update(each, undefined);
    const write = (): Promise<boolean> => Promise.resolve(true);
    const both = await Promise.allSettled(
      [one, two].map((each) => queue.redirect(each, next, write)),
    );
    expect(both).toMatchObject([{ value: true }, { reason: { code: 'Conflict' } }]);
    expect(held(queue)).toEqual(['c', 'd']);
    expect(queueCause({ from: 'a', to: 'b' }, queue.look(request('z')))).toBeUndefined();
  });

  it('keeps its places if the write fails', async () => {
    const queue = new MoveQueue(limits);
    const one = open('o', ['b']);
    queue.update(one, undefined);
    const failing = queue.redirect(one, next, () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    expect([held(queue), queue.look(request('z')).underWay.total]).toEqual([['b'], 1]);
  });
});
