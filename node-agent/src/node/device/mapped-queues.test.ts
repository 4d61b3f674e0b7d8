// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { RxeObject } from '../../../../native/addon/index.ts';
import { mappedQueueReasons } from './mapped-queues.ts';

const open = (pid: number, context: number, container: string) => {
  const nothing = { unreadEvents: 0, channels: 0, asyncFiles: 1, others: [] };
  return { pid, context, container, fd: 3, ...nothing };
};
const pair: RxeObject = {
  ...{ kind: 'qp', number: 17, handle: 4, context: 1, owner: 40, type: 'RC' },
  rings: [
    { offset: 0x10000, size: 0x4000 },
    { offset: 0x14000, size: 0x1000 },
  ],
};
const queue: RxeObject = {
  ...{ kind: 'cq', number: 1, handle: 2, context: 2, owner: 50 },
  rings: [{ offset: 0x8000, size: 0x2000 }],
};

/** Of process 40 and its child 41 in container main, which have context 1 open, and 50 in side, which has context 2. */
function look(mapped: [pid: number, start: number, length: number, offset: number, x?: boolean][]) {
  const maps = new Map<
    number,
    { start: number; end: number; isReadable: true; isWritable: true }[]
  >();
  for (const [pid, start, length, offset, isExecutable = false] of mapped) {
    const mapping = { start, end: start + length, isReadable: true, isWritable: true } as const;
    maps.set(pid, [
      ...(maps.get(pid) ?? []),
      { ...mapping, ...{ queue: { offset, isExecutable } } },
    ]);
  }
  const use = {
    ...{ device: 'rxe0', objects: [pair, queue], maps },
    opened: [open(40, 1, 'main'), open(50, 2, 'side')],
    containers: new Map([
      [40, 'main'],
      [41, 'main'],
      [50, 'side'],
    ]),
  };
  return [...mappedQueueReasons(use, (pid) => `Process ${pid}`)];
}

describe('the queues that processes have mapped', () => {
  it('can be moved whole, in several processes, or not mapped at all', () => {
    expect(look([])).toEqual([]);
    expect(
      look([
        [40, 0x7000_0000, 0x4000, 0x10000],
        [40, 0x7100_0000, 0x1000, 0x14000],
        [41, 0x7000_0000, 0x4000, 0x10000],
        [50, 0x7000_0000, 0x2000, 0x8000],
      ]),
    ).toEqual([]);
  });

  it.each([
    ['without its end', [[40, 0x7000_0000, 0x3000, 0x10000]], /in part only \(at 0x70000000\)/],
    [
      'without its beginning',
      [[40, 0x7000_1000, 0x3000, 0x11000]],
      /in part only \(at 0x70001000\)/,
    ],
    [
      'with a hole, which is one reason',
      [
        [40, 0x7000_0000, 0x1000, 0x10000],
        [40, 0x7000_2000, 0x2000, 0x12000],
      ],
      /in part only \(at 0x70000000\)/,
    ],
    [
      'twice in one process',
      [
        [41, 0x7000_0000, 0x4000, 0x10000],
        [41, 0x7200_0000, 0x4000, 0x10000],
      ],
      /twice \(at 0x70000000 and at 0x72000000\)/,
    ],
    ['executable', [[40, 0x7000_0000, 0x4000, 0x10000, true]], /as executable memory/],
  ] as const)('cannot be moved %s', (_what, mapped, text) => {
    const reasons = look(mapped.map((one) => [...one]));
    expect(reasons).toHaveLength(1);
    expect(reasons[0]).toMatch(
      /^Process 4[01] has mapped a queue of queue pair 17 \(handle 4 of descriptor 3\) on rxe0 /,
    );
    expect(reasons[0]).toMatch(text);
  });

  it.each([
    ['is destroyed', 40, 0x20000],
    ['lies between others', 40, 0x15000],
    ['is of a context that only another container has open', 40, 0x8000],
  ])('cannot be moved if one %s', (_what, pid, offset) => {
    expect(look([[pid, 0x7000_0000, 0x1000, offset]])).toEqual([
      'Process 40 has mapped a queue of rxe0 (at 0x70000000) that is destroyed, or whose verbs context no process of its ' +
        'container has open, which cannot be moved. Let it unmap the queue, or keep the context open, then create a new ' +
        'request.',
    ]);
  });

  it('are no matter in a process outside of the containers', () => {
    expect(look([[812, 0x7000_0000, 0x1000, 0x20000]])).toEqual([]);
  });
});
