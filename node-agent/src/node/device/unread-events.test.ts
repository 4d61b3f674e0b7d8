// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { RxeObject } from '../../../../native/addon/index.ts';
import { unmovableObjects } from './supported-objects.ts';

const nameOf = (pid: number) => `Process ${pid}`;
const bit = (...types: number[]) => types.reduce((mask, type) => mask | (1 << type), 0);

/** Kinds of events of each object, kinds of the device and its port, and how many in all. */
function look(objects: RxeObject[], device: number, unread: number, context = 1): string[] {
  const nothing = { channels: 0, asyncFiles: 1, others: [] };
  const opened = [
    { pid: 40, container: 'main', fd: 3, context: 1, unreadEvents: device, ...nothing },
  ];
  const file = { pid: 40, fd: 4, kind: 'async', context, unread } as const;
  const eventFiles = [file, { ...file, pid: 41 }, { pid: 40, fd: 9 }];
  return [...unmovableObjects({ device: 'rxe0', objects, opened, eventFiles }, nameOf)];
}

const object = (kind: RxeObject['kind'], unreadEvents: number): RxeObject => {
  return { kind, number: 17, handle: 4, context: 1, owner: 40, unreadEvents };
};
const [lastRequest, queueError] = [object('qp', bit(16)), object('cq', bit(0))];

describe('unread asynchronous events', () => {
  it.each([
    ['none', [], 0, 0],
    ['many of the port', [], bit(9, 10), 12],
    ['of the GID table', [], bit(18), 1],
    ['of every kind that a port has', [], bit(9, 10, 11, 12, 13, 17, 18), 40],
    ['two of two objects', [lastRequest, queueError], 0, 2],
    ['two kinds of one object', [object('qp', bit(16, 1))], 0, 2],
    ['one kind twice', [lastRequest], 0, 2],
    ['one, beside one of the port that came twice', [lastRequest], bit(9), 3],
    ['as many as a restore takes', [lastRequest], bit(9), 65_536],
  ])('move: %s', (_what, objects, device, unread) => {
    const queuePair = objects.map((one) => ({ ...one, type: 'RC' }));
    expect(look(queuePair, device, unread)).toEqual([]);
  });

  it('do not move if there are more, which is said once', () => {
    expect(look([], bit(9), 65_537)).toEqual([
      'Process 40 has more than 65536 unread asynchronous events of a verbs context (descriptor 4) on rxe0, which cannot ' +
        'be moved. Let it read them (ibv_get_async_event()), then create a new request.',
    ]);
    expect(look([], bit(9), 65_537, 2)).toEqual([]);
  });

  it('do not move if they say that the device has failed', () => {
    expect(look([], bit(9, 8), 2)).toEqual([
      'Process 40 has not read IBV_EVENT_DEVICE_FATAL: its device has failed. Let it open the device again, then create a ' +
        'new request.',
    ]);
  });
});
