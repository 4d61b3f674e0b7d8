// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { Gid, RxeObject } from '../../../../native/addon/index.ts';
import { foreignInterfaces, otherIndexes, unknownAddresses } from './source-addresses.ts';

const nameOf = (pid: number) => `Process ${pid}`;
const LOCAL = 'fe80::50:ff:fe00:1';
const gid = (index: number, address: string, netdev = 'net1'): Gid => {
  return { index, gid: address, netdev, type: 'RoCE v2' };
};
const gids = [
  gid(0, LOCAL),
  gid(1, '::ffff:10.0.0.1'),
  gid(2, '2001:db8::1'),
  gid(3, '::ffff:10.0.0.9'),
  gid(4, '::ffff:10.7.0.1', 'net1.100'),
];
const user = (sourceIndex: number, more: Partial<RxeObject> = {}): RxeObject => {
  const object = { kind: 'qp', number: 17, handle: 4, context: 1, owner: 40, type: 'RC' } as const;
  return { ...object, sourceIndex, ...more };
};
const use = (objects: RxeObject[]) => {
  const nothing = { unreadEvents: 0, channels: 0, asyncFiles: 1, others: [] };
  const opened = [{ pid: 40, container: 'main', fd: 3, context: 1, ...nothing }];
  return { device: 'rxe0', interface: 'net1', gids, objects, opened };
};
const on = (...addresses: (string | undefined)[]) =>
  addresses.flatMap((address, index) =>
    address === undefined ? [] : [{ interface: 'net1', index, gid: address }],
  );

describe('the addresses that objects use, beside those of the target', () => {
  const look = (objects: RxeObject[], target: ReturnType<typeof on>) => [
    ...otherIndexes(use(objects), target, nameOf),
  ];

  it('can be moved if each has its index there, whatever the others are', () => {
    const swapped = on('2001:db8::1', '::ffff:10.0.0.1', LOCAL);
    expect(look([user(1)], swapped)).toEqual([]);
    expect(look([], swapped)).toEqual([]);
    // Of the kernel, of a context that nobody has open, and one that has left.
    const { context: _, ...kernels } = user(0);
    expect(
      look([kernels, user(0, { context: 9 }), user(0, { sourceAddressLost: true })], swapped),
    ).toEqual([]);
  });

  it('are unknown on a target that has not said it', () => {
    expect(look([user(0)], [])).toEqual([]);
    expect(look([user(0)], [{ interface: 'net2', index: 0, gid: LOCAL }])).toEqual([]);
  });

  it('cannot if one has another index there; the message has both addresses', () => {
    expect(
      look([user(1), user(1, { number: 18 })], on(LOCAL, '2001:db8::1', '::ffff:10.0.0.1')),
    ).toEqual([
      'Process 40 has queue pair 17 (handle 4 of descriptor 3) on rxe0 with source address ::ffff:10.0.0.1, GID index 1; on ' +
        'the target index 1 has 2001:db8::1, and that address has index 2, which cannot be moved. ' +
        "The target's agent could not give the target the source's order: start the pod anew, with all its addresses given by its " +
        'network, or let the process use another address (ibv_gid_entry.gid_index), then create a new request.',
    ]);
  });

  it('cannot if one is not there', () => {
    expect(look([user(3, { kind: 'ah' })], on(LOCAL, '::ffff:10.0.0.1'))).toEqual([
      expect.stringMatching(
        /^Process 40 has an address handle .*; on the target index 3 has no address, and that address is not there, .*annotation k8s.v1.cni.cncf.io\/networks/,
      ),
    ]);
  });
});

describe('the addresses that objects use, before there is a target', () => {
  const its = [
    { address: '10.0.0.1', prefix: 24, gidIndex: 1 },
    { address: '2001:DB8::1', prefix: 64, gidIndex: 2 },
  ];
  const look = (index: number, interfaces = [{ name: 'net1', addresses: its }]) => [
    ...unknownAddresses(use([user(index)]), { interfaces }, nameOf),
  ];

  it.each([
    ['given by a network', 1],
    ['given by a network, IPv6', 2],
    ['made of the MAC address', 0],
    ['of another interface, which has a reason of its own', 4],
  ])('can be moved if they are %s', (_what, index) => expect(look(index)).toEqual([]));

  it('cannot be moved if they are not the pod’s', () => {
    expect(look(3)).toEqual([
      expect.stringMatching(
        /with source address ::ffff:10.0.0.9, GID index 3, which the pod's networks have not/,
      ),
    ]);
    // With too many of them to tell.
    expect(look(3, [])).toEqual([]);
  });
});

describe('interfaces that were made in the pod', () => {
  const look = (objects: RxeObject[], more: Gid[] = []) => {
    const { gids: own, ...rest } = use(objects);
    return [...foreignInterfaces({ ...rest, gids: [...own, ...more] }, nameOf)];
  };

  it('cannot be moved; the message says who uses one of their addresses', () => {
    expect(look([user(1), user(4), user(4, { number: 18 })])).toEqual([
      expect.stringMatching(
        /^Process 40 has queue pair 17 .*source address ::ffff:10.7.0.1, GID index 4, of interface net1.100, which a target does not get/,
      ),
    ]);
  });

  it('cannot be moved even if nobody uses them yet', () => {
    expect(look([user(1)], [gid(5, 'fd00::1', 'net1.100'), gid(6, 'fd01::1', 'mv0')])).toEqual([
      expect.stringMatching(
        /^RDMA device rxe0 has address .* of interface net1.100, .*Remove interface net1.100, or/,
      ),
      'RDMA device rxe0 has address fd01::1 with GID index 6, of interface mv0, which a target does not get, which cannot be ' +
        'moved. Remove interface mv0, or give the pod another network in its place (annotation k8s.v1.cni.cncf.io/networks), ' +
        'then create a new request.',
    ]);
  });

  it('are none where the device has its own interface only', () => {
    expect([...foreignInterfaces({ ...use([user(1)]), gids: gids.slice(0, 4) }, nameOf)]).toEqual(
      [],
    );
    const { netdev: _, ...nameless } = gid(4, 'fd00::1');
    expect([...foreignInterfaces({ ...use([]), gids: [nameless] }, nameOf)]).toEqual([]);
  });
});
