// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { RxeObject } from '../../../../native/addon/index.ts';
import { unmovableObject, type OpenContext } from './supported-objects.ts';
import type { Mapping } from '../runtime/memory-map.ts';

const nameOf = (pid: number) => `Process ${pid} (app)`;
const open = (pid: number, context = 1, container = 'main'): OpenContext => {
  const nothing = { unreadEvents: 0, channels: 0, asyncFiles: 1, others: [] };
  return { pid, context, container, fd: 3, ...nothing };
};
const context = (number: number, owner?: number): RxeObject => {
  return { kind: 'context', number, context: number, ...(owner !== undefined && { owner }) };
};
const inContext = (kind: RxeObject['kind'], more: Partial<RxeObject> = {}): RxeObject => {
  return { kind, number: 17, handle: 4, context: 1, owner: 40, ...more };
};
const rc = inContext('qp', { type: 'RC' });
const region = (more: Partial<RxeObject> = {}) =>
  inContext('mr', { number: 0x2a1, isUserMemory: true, ...more });
/** What each device has of the kernel: ib_mad's, for the special queue pair. */
const kernels: RxeObject[] = [
  { kind: 'pd', number: 1 },
  { kind: 'cq', number: 1 },
  { kind: 'qp', number: 1, type: 'GSI' },
  { kind: 'mr', number: 0x100, isUserMemory: false },
];

const look = (objects: RxeObject[], opened = [open(40)]) =>
  unmovableObject({ device: 'rxe0', objects: [...kernels, ...objects], opened }, nameOf);

describe('the objects of a device', () => {
  it('can be moved if they are of contexts that processes of one container have open', () => {
    expect(look([], [])).toBeUndefined();
    const [pd, cq, srq] = [inContext('pd'), inContext('cq'), inContext('srq')];
    expect(look([context(1, 40), pd, cq, srq, rc, region()])).toBeUndefined();
  });

  it('can be moved if a worker registers memory of its own and has the context open', () => {
    const opened = [open(40), open(41)];
    expect(look([context(1, 40), rc, region({ owner: 41 })], opened)).toBeUndefined();
    // Who created them, and with which thread, does not matter: others may use them.
    expect(look([context(1), inContext('qp', { type: 'RC', owner: 99 })])).toBeUndefined();
  });

  it('cannot if a region is over memory that its process has unmapped or protected since', () => {
    const map = [
      { start: 0x1000, end: 0x3000, isReadable: true, isWritable: true },
      { start: 0x3000, end: 0x4000, isReadable: true, isWritable: false },
    ];
    const over = (start: number, length: number, isWritable = true) =>
      unmovableObject(
        {
          device: 'rxe0',
          objects: [context(1, 40), region({ memory: { start, length, isWritable } })],
          opened: [open(40)],
          maps: new Map([[40, map]]),
        },
        nameOf,
      );
    expect(over(0x1000, 0x2000)).toBeUndefined();
    expect(over(0x2000, 0x2000, false)).toBeUndefined();
    expect(over(0x2000, 0x2000)).toMatch(
      /^Process 40 \(app\) has memory region 0x2a1 \(handle 4 of descriptor 3\) on rxe0 over memory that it has unmapped or protected since \(at 0x3000\), which cannot be moved. Deregister the region/,
    );
    expect(over(0x3800, 0x1000, false)).toContain('(at 0x4000)');
  });

  it('cannot if a region is over memory that its process has replaced since', () => {
    const memory = { start: 0x1064, length: 0x1f00, isWritable: true, remappedAt: 0x2000 };
    const over = (maps?: Map<number, Mapping[]>) =>
      unmovableObject(
        {
          device: 'rxe0',
          objects: [context(1, 40), region({ memory })],
          opened: [open(40)],
          ...(maps && { maps }),
        },
        nameOf,
      );
    const whole = { start: 0x1000, end: 0x3000, isReadable: true, isWritable: true };
    expect(over(new Map([[40, [whole]]]))).toMatch(
      /^Process 40 \(app\) has memory region 0x2a1 \(handle 4 of descriptor 3\) on rxe0 over memory that it has freed or replaced since \(at 0x2000\), which cannot be moved\. Deregister the region .*UCX_RCACHE_ENABLE=n/,
    );
    // Also if its map cannot be read; one that says why says more.
    expect(over()).toContain('replaced since (at 0x2000)');
    expect(over(new Map([[40, []]]))).toContain('unmapped or protected since (at 0x1064)');
  });

  it('can be moved if they are of datagrams, whoever has made the address handles', () => {
    const { owner: _, ...handle } = inContext('ah');
    // The kernel has handles and a UD queue pair's kin (GSI) of its own.
    const kernelHandle: RxeObject = { kind: 'ah', number: 2 };
    expect(
      look([context(1, 40), inContext('qp', { type: 'UD' }), handle, kernelHandle]),
    ).toBeUndefined();
  });

  it('cannot if a queue pair is in a multicast group', () => {
    const member = inContext('qp', { type: 'UD', multicastGroups: 2 });
    expect(look([context(1, 40), rc, member])).toBe(
      'Process 40 (app) has queue pair 17 (handle 4 of descriptor 3) on rxe0 in a multicast group, which cannot be moved. ' +
        'Detach it from the group (ibv_detach_mcast()), or let the program send to each of its peers (perftest: without ' +
        '-g), then create a new request.',
    );
  });

  it('cannot if the source address of a queue pair or an address handle has left the interface', () => {
    expect(look([context(1, 40), inContext('qp', { type: 'RC', sourceAddressLost: true })])).toBe(
      'Process 40 (app) has queue pair 17 (handle 4 of descriptor 3) on rxe0 whose source address has left the interface, ' +
        'which cannot be moved. Destroy it (ibv_destroy_qp()), then create a new request.',
    );
    const { owner: _, ...handle } = inContext('ah', { sourceAddressLost: true });
    expect(look([context(1, 40), handle])).toMatch(
      /^Process 40 \(app\) has an address handle \(handle 4 of descriptor 3\) on rxe0 whose source.*ibv_destroy_ah\(\)/,
    );
  });

  it.each([
    ['UC', /an unreliable connection, which cannot be moved\. Use RC \(perftest: -c RC\), then/],
    [
      'XRC_INI',
      /an extended reliable connection.*UCX_TLS=rc_verbs,ud_verbs,tcp.*FI_VERBS_PREFER_XRC=0/,
    ],
    ['XRC_TGT', /an extended reliable connection/],
    ['RAW_PACKET', /a raw packet queue pair.*packet socket/],
    ['OTHER', /a type that this version of Sealift does not know.*Use RC or UD.*UCX_TLS=/],
  ])('cannot if one is a queue pair of type %s', (type, text) => {
    const reason = look([context(1, 40), rc, inContext('qp', { number: 18, type })]);
    expect(reason).toContain(
      `Process 40 (app) has queue pair 18 (handle 4 of descriptor 3) on rxe0 of type ${type}, `,
    );
    expect(reason).toMatch(text);
    expect(reason).toMatch(/, then create a new request\.$/);
  });

  it('names the descriptor of the process that has made the object', () => {
    const opened = [open(40), { ...open(41), fd: 9 }];
    const window = inContext('mw', { owner: 41 });
    expect(look([context(1, 40), window], opened)).toContain('(handle 4 of descriptor 9)');
  });

  it.each([
    [
      'mw',
      /^Process 40 \(app\) has a memory window \(handle 4 of descriptor 3\) on rxe0.*ibv_dealloc_mw\(\)/,
    ],
    ['other', /has an object of a kind that this version of Sealift does not know/],
  ] as const)('cannot if one is of kind %s', (kind, text) => {
    // The driver does not know who has made a memory window.
    const { owner: _, ...object } = inContext(kind);
    expect(look([context(1, 40), object])).toMatch(text);
  });

  it('cannot if a context is of a process outside of the containers', () => {
    const objects = [context(1, 40), rc, context(2, 812), inContext('qp', { context: 2 })];
    expect(look(objects)).toMatch(
      /^Process 812 \(app\) has opened verbs context 2 \(queue pair 17\) of rxe0, which no process of the pod/,
    );
    expect(look([context(1, 40), context(2)])).toMatch(
      /^The process that opened verbs context 2 of rxe0 has ended/,
    );
  });

  it('cannot if two containers share a context', () => {
    const opened = [open(40), open(50, 1, 'side')];
    expect(look([context(1, 40), rc], opened)).toMatch(
      /^Containers main and side have verbs context 1 \(queue pair 17\) of rxe0 open/,
    );
  });

  it('cannot if a region’s process has ended, or does not have the context open', () => {
    const { owner: _, ...orphan } = region();
    expect(look([context(1, 40), orphan])).toMatch(
      /^The process whose memory is registered as memory region 0x2a1 \(handle 4 of descriptor 3\) on rxe0 has ended. Let process 40/,
    );
    expect(look([context(1, 40), region({ owner: 812 })])).toMatch(
      /^Process 812 \(app\) has its memory registered as memory region 0x2a1 \(handle 4 of descriptor 3\) on rxe0,/,
    );
    expect(look([context(1, 40), region({ isUserMemory: false })])).toMatch(
      /memory region 0x2a1 \(handle 4 of descriptor 3\) on rxe0 over something else.*register plain memory/,
    );
  });

  it('cannot if a module of the kernel has a connection', () => {
    expect(look([{ kind: 'qp', number: 20, type: 'RC' }], [])).toMatch(
      /^The node's kernel has queue pair 20 of type RC on rxe0/,
    );
  });
});
