// SPDX-License-Identifier: Apache-2.0
// Memory that was found on nodes for moves under way.
import { describe, expect, it } from 'vitest';
import type { MigrationRequest } from '../../../crds/src/index.ts';
import { at, decision, migration } from '../../testing/objects.ts';
import { MoveQueue } from './move-queue.ts';

const memory = { bytes: 100 };
const request = (name: string, target: object, more: object = {}): MigrationRequest =>
  migration({
    metadata: { name, uid: `uid-${name}`, creationTimestamp: at(0) },
    status: { source: { nodeName: 'x' }, target, ...more },
  });
const open = (name: string, more: object = {}): MigrationRequest =>
  request(name, { candidates: ['b', 'c'], ...more });
const takenFrom = (queue: MoveQueue, uid: string): number[] =>
  ['b', 'c', 'd'].map((node) => queue.takenOn(node, uid));
const found = { from: 'x', to: undefined, candidates: ['b', 'c'], bytes: 100 };
const write = (): Promise<string> => Promise.resolve('written');

describe('memory that was found for a move', () => {
  it('is nobody else’s, on each node that the move may get, until it has ended', () => {
    const queue = new MoveQueue();
    queue.update(open('o'), undefined);
    expect(takenFrom(queue, 'uid-z')).toEqual([0, 0, 0]);
    queue.update(open('o', { memory }), undefined);
    expect([takenFrom(queue, 'uid-z'), takenFrom(queue, 'uid-o')]).toEqual([
      [100, 100, 0],
      [0, 0, 0],
    ]);
    queue.update(request('o', { nodeName: 'c', memory }), undefined);
    queue.update(request('p', { nodeName: 'c', memory: { bytes: 7 } }), undefined);
    expect(takenFrom(queue, 'uid-z')).toEqual([0, 107, 0]);
    expect(takenFrom(queue, 'uid-o')).toEqual([0, 7, 0]);
    queue.update(undefined, request('o', {}));
    expect(takenFrom(queue, 'uid-z')).toEqual([0, 7, 0]);
    const tried = [{ nodeName: 'c', podUID: 'pod', reason: 'x', message: '' }];
    const givenUp = { nodeName: 'c', podUID: 'pod', memory };
    queue.update(request('p', givenUp, { triedNodes: tried }), undefined);
    expect(takenFrom(queue, 'uid-z')).toEqual([0, 0, 0]);
  });

  it.each<[string, object, number]>([
    ['is restored', { targetAgent: { state: 'Restoring' } }, 100],
    ['was restored', { targetAgent: { state: 'AtResumeGate' } }, 0],
    ['runs', { targetAgent: { state: 'Running' }, decision: decision('Committed') }, 0],
    ['was committed', { targetAgent: { state: 'Restoring' }, decision: decision('Committed') }, 0],
    ['was aborted', { decision: decision('Aborted') }, 0],
  ])('is among what the node has given away once the pod %s', (_name, more, taken) => {
    const queue = new MoveQueue();
    queue.update(request('o', { nodeName: 'c', memory }), undefined);
    expect(takenFrom(queue, 'uid-z')).toEqual([0, 100, 0]);
    queue.update(request('o', { nodeName: 'c', memory }, more), undefined);
    expect(takenFrom(queue, 'uid-z')).toEqual([0, taken, 0]);
    expect(queue.arriving.get('c'), 'it has its place').toBe(1);
  });

  it('is so too if the watch has brought nothing since it was written', async () => {
    const queue = new MoveQueue();
    queue.update(open('o'), undefined);
    await queue.reserve(open('o'), found, () => true, write);
    const committed = { decision: decision('Committed'), targetAgent: { state: 'Running' } };
    queue.update(request('o', { nodeName: 'b', memory }, committed), undefined);
    expect(takenFrom(queue, 'uid-z')).toEqual([0, 0, 0]);
  });

  it('is found by one of two, if there is enough for one', async () => {
    const queue = new MoveQueue();
    const two = [open('o'), open('p')];
    for (const each of two) queue.update(each, undefined);
    const results = await Promise.allSettled(
      two.map((each) => {
        const hasRoom = (): boolean => queue.takenOn('b', each.metadata.uid) === 0;
        return queue.reserve(each, found, hasRoom, write);
      }),
    );
    expect(results).toMatchObject([{ value: 'written' }, { reason: { code: 'Conflict' } }]);
    expect([takenFrom(queue, 'uid-o'), takenFrom(queue, 'uid-p')]).toEqual([
      [0, 0, 0],
      [100, 100, 0],
    ]);
  });

  it('stays so while watches are behind, and not if it could not be written', async () => {
    const queue = new MoveQueue();
    queue.update(open('o'), undefined);
    await queue.reserve(open('o'), found, () => true, write);
    queue.update(open('o', { agentAddress: 'older' }), undefined);
    expect(takenFrom(queue, 'uid-z')).toEqual([100, 100, 0]);
    queue.update(open('o', { memory }), undefined);
    queue.update(open('p'), undefined);
    const failing = queue.reserve(
      open('p'),
      { ...found, bytes: 5 },
      () => true,
      () => Promise.reject(new Error('no')),
    );
    await expect(failing).rejects.toThrow('no');
    expect(takenFrom(queue, 'uid-z')).toEqual([100, 100, 0]);
  });
});
