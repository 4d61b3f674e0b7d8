// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { RxeEventFile, RxeObject } from '../../../../native/addon/index.ts';
import { unknownFiles, unreadObjectEvents } from './event-files.ts';

const nameOf = (pid: number) => `Process ${pid}`;
const open = (unreadEvents = 0, fd = 3) => {
  const nothing = { channels: 0, asyncFiles: 1, others: [] };
  return { pid: 40, container: 'main', fd, context: 1, unreadEvents, ...nothing };
};
const bit = (...types: number[]) => types.reduce((mask, type) => mask | (1 << type), 0);

describe('descriptors of verbs contexts', () => {
  const uverbs = { pid: 40, fd: 3, link: '/dev/infiniband/uverbs0' };
  const event = { pid: 40, fd: 4, link: 'anon_inode:[infinibandevent]' };
  const file: RxeEventFile = { pid: 40, fd: 4, kind: 'async', context: 1, unread: 0 };
  const look = (files = [uverbs, event], opened = [open()], eventFiles = [file]) => [
    ...unknownFiles(files, { opened, eventFiles }, nameOf),
  ];

  it('can be moved if each is known', () => expect(look()).toEqual([]));

  it('cannot be moved without a context', () => {
    expect(look([uverbs, event], [], [])).toEqual([
      expect.stringMatching(
        /^Process 40 has \/dev\/infiniband\/uverbs0 open \(descriptor 3\) without/,
      ),
      expect.stringMatching(/^Process 40 has a completion channel .* \(descriptor 4\) whose verbs/),
    ]);
    expect(
      look(undefined, undefined, [
        { pid: 40, fd: 4 },
        { ...file, pid: 41 },
      ]),
    ).toHaveLength(1);
  });

  it('cannot be moved from another directory, where a dump does not look', () => {
    expect(look([event])).toEqual([
      expect.stringMatching(
        /^Process 40 has opened its RDMA device \(descriptor 3\) by another path/,
      ),
    ]);
  });
});

/** Rows as in native/criu-plugin/dump_events.c: kinds of events of each object, of the device, and how many in all. */
describe('unread events of queues', () => {
  const object = (kind: RxeObject['kind'], unreadEvents: number): RxeObject => {
    return { kind, number: 17, handle: 4, context: 1, owner: 40, unreadEvents };
  };
  const look = (objects: RxeObject[], device: number, unread: number, files = 1) => {
    const file = { pid: 40, fd: 4, kind: 'async', context: 1, unread } as const;
    const eventFiles = [file, { ...file, pid: 41 }].slice(0, files);
    const use = { device: 'rxe0', objects, opened: [open(device)], eventFiles };
    return [...unreadObjectEvents(use, nameOf)];
  };
  const [lastRequest, queueError] = [object('qp', bit(16)), object('cq', bit(0))];

  it.each([
    ['none', [], 0, 0],
    ['many of the port alone', [], bit(9, 10), 12],
    ['one', [lastRequest], 0, 1],
    ['one, beside one of the port', [lastRequest], bit(9), 2],
    [
      'one of another context',
      [
        { ...lastRequest, context: 2 },
        { ...queueError, context: 2 },
      ],
      0,
      0,
    ],
  ])('come back: %s', (_what, objects, device, unread) => {
    expect(look(objects, device, unread)).toEqual([]);
  });

  it.each([
    ['two of two objects', [lastRequest, queueError], 0, 2],
    ['two kinds of one object', [object('qp', bit(16, 1))], 0, 2],
    ['one kind twice', [lastRequest], 0, 2],
    ['one, beside one of the port that came twice', [lastRequest], bit(9), 3],
  ])('do not: %s', (_what, objects, device, unread) => {
    expect(look(objects, device, unread, 2)).toEqual([
      'Process 40 has unread asynchronous events of a verbs context (descriptor 4), one of queue pair 17 (handle 4 of ' +
        'descriptor 3) on rxe0, of which those of queues would not all come back, or not in their order, which cannot be ' +
        'moved. Let it read them (ibv_get_async_event()), then create a new request.',
    ]);
  });

  it('are no matter once nobody can read them', () => {
    expect(look([lastRequest, queueError], 0, 2, 0)).toEqual([]);
  });
});
