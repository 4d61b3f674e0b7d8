// SPDX-License-Identifier: Apache-2.0
// Places in the limits of moves whose landing pods wait for a node.
import { describe, expect, it } from 'vitest';
import type { MigrationRequest } from '../../../crds/src/index.ts';
import { at, migration, succeeded } from '../../testing/objects.ts';
import type { Move } from './limits.ts';
import { MoveQueue } from './move-queue.ts';

const limits = { cluster: 1, perNode: 1 };
const request = (name: string, reason?: string): MigrationRequest =>
  migration({
    metadata: { name, uid: `uid-${name}`, creationTimestamp: at(0) },
    status: {
      source: { nodeName: 'a' },
      target: { nodeName: 'b', podUID: 'pod' },
      ...(reason !== undefined && { conditions: [succeeded('Unknown', reason)] }),
    },
  });
const waiting = request('one', 'NoNodeForName');
const back: Move = { from: 'b', to: 'b' };

describe('a landing pod that waits for a node', () => {
  const total = (queue: MoveQueue): number => queue.look(request('z')).underWay.total;

  it('gives its place to others, and gets one again', async () => {
    const queue = new MoveQueue(limits);
    const woken: string[] = [];
    queue.update(
      migration({
        metadata: { name: 'two', uid: 'uid-two', creationTimestamp: at(1) },
        status: { queue: { position: 1, waitsFor: 'Cluster', sourceNodeName: 'a' } },
      }),
      undefined,
    );
    queue.open((key) => woken.push(key));
    queue.update(request('one'), undefined);
    expect(total(queue)).toBe(1);
    queue.update(waiting, request('one'));
    expect([total(queue), woken]).toEqual([0, ['default/two']]);
    queue.update(request('two'), undefined);
    await expect(queue.accept(waiting, back, async () => true)).rejects.toThrow(/no longer/);
    queue.update(undefined, request('two'));
    expect(await queue.accept(waiting, back, async () => true)).toBe(true);
    expect(total(queue)).toBe(1);
    // The informer is behind: it has not seen yet that the request waits no more.
    queue.update(waiting, waiting);
    expect(total(queue)).toBe(1);
    queue.update(request('one', 'Committed'), waiting);
    expect(total(queue)).toBe(1);
  });

  it('has none after a restart of the operator', () => {
    const queue = new MoveQueue(limits);
    queue.update(waiting, undefined);
    expect(total(queue)).toBe(0);
  });
});
