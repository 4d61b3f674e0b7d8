// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { RxeContext, RxeObject } from '../../../../native/addon/index.ts';
import { limitReasons } from './dump-limits.ts';

const MIB = 2 ** 20;
const open = (context: number, more: Partial<RxeContext> = {}, container = 'main') => {
  const nothing = { unreadEvents: 0, channels: 0, asyncFiles: 1, others: [] };
  return { pid: 40, container, fd: 3, context, ...nothing, ...more };
};
const object = (kind: RxeObject['kind'], more: Partial<RxeObject> = {}): RxeObject => {
  return { kind, number: 17, handle: 4, context: 1, owner: 40, ...more };
};
const look = (objects: RxeObject[], opened = [open(1)]) => [
  ...limitReasons({ device: 'rxe0', objects, opened }, (pid) => `Process ${pid}`),
];
const contexts = (count: number, container = 'main', from = 0) =>
  Array.from({ length: count }, (_, nth) => open(from + nth, {}, container));

describe('what is too much for a dump', () => {
  it('is not what a process usually has', () => {
    const rings = [{ offset: 0x1000, size: 64 * MIB }];
    const queue = object('cq', { rings, unreadCompletions: 1024 });
    expect(look([object('qp', { rings }), queue, object('mr')])).toEqual([]);
    expect(look([], contexts(256))).toEqual([]);
    // Two processes of a container that have the same ones; two containers, each of which is dumped by itself.
    expect(look([], [...contexts(256), ...contexts(256)])).toEqual([]);
    expect(look([], [...contexts(200), ...contexts(200, 'side', 200)])).toEqual([]);
  });

  it('is more than 256 contexts of one container', () => {
    expect(look([], contexts(257))).toEqual([
      'Container main has more than 256 verbs contexts of rxe0 open, which cannot be moved. Let its processes share ' +
        'contexts, or close some (ibv_close_device()), then create a new request.',
    ]);
  });

  it('is handles whose places are more than a device has domains', () => {
    const high = (context: number, handle: number) => object('mr', { context, handle });
    const half = MIB / 2;
    expect(look([high(0, half - 1), high(1, half - 1)], contexts(2))).toEqual([]);
    expect(look([high(0, half - 1), high(1, half)], contexts(2))).toEqual([
      expect.stringMatching(
        /^Container main has objects on rxe0 whose handles take more than 1048576/,
      ),
    ]);
  });

  it.each([
    ['qp', /^Process 40 has queue pair 17 \(handle 4 of descriptor 3\) on rxe0 .*max_send_wr/],
    ['srq', /^Process 40 has a shared receive queue \(handle 4 of .*ibv_modify_srq\(\)/],
    ['cq', /^Process 40 has a completion queue \(handle 4 of .*ibv_resize_cq\(\)/],
  ] as const)('is a queue in memory of more than 64 MiB, of a %s', (kind, text) => {
    const rings = [
      { offset: 0x1000, size: 4096 },
      { offset: 0x2000, size: 64 * MIB + 4096 },
    ];
    const [reason, ...others] = look([object(kind, { rings })]);
    expect(others).toEqual([]);
    expect(reason).toMatch(text);
    expect(reason).toContain('with room for 65 MiB of requests, more than 64 MiB');
  });

  it('is more than 512 MiB in the queues of one context', () => {
    const rings = (size: number) => [{ offset: 0x1000, size }];
    const some = (count: number, context = 1) =>
      Array.from({ length: count }, () => object('qp', { context, rings: rings(60 * MIB) }));
    expect(look([...some(8), ...some(8, 2)], contexts(3))).toEqual([]);
    expect(look(some(9))).toEqual([
      expect.stringMatching(
        /^Process 40 has queues of more than 512 MiB together in its verbs context \(descriptor 3\) on rxe0, /,
      ),
    ]);
  });

  it('is more than 1024 unread completion events of one queue', () => {
    expect(look([object('cq', { unreadCompletions: 1025 })])).toEqual([
      'Process 40 has a completion queue (handle 4 of descriptor 3) on rxe0 with more than 1024 unread completion events, ' +
        'which cannot be moved. Let it read them (ibv_get_cq_event()), then create a new request.',
    ]);
  });

  it.each([
    [{ channels: 4097 }, /^Process 40 has more than 4096 completion channels in its verbs context/],
    [
      { asyncFiles: 2 },
      /^Process 40 has several files of asynchronous events in its .*Close all but/,
    ],
    [{ others: [{ type: 9, handle: 7 }] }, /has a flow steering rule \(handle 7\) in its verbs/],
    [
      { others: [{ type: 99, handle: 7 }] },
      /has an object of kind 99, which Sealift does not know/,
    ],
  ])('is %j of one context, whoever has it open', (more, text) => {
    const shared = [open(1, more), { ...open(1, more), pid: 41, fd: 9 }];
    expect(look([], shared)).toEqual([expect.stringMatching(text)]);
  });
});
