// SPDX-License-Identifier: Apache-2.0
// Addresses read from a source and given to a target, in real network namespaces with macvlans. This kernel has no RDMA
// devices: their GID tables are made as the kernel makes them, from each address that comes and goes.
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import * as addon from '../../../../native/addon/index.ts';
import type { PlainAddress, RdmaDevice } from '../../../../native/addon/index.ts';
import { able, netnsPath, sh } from '../../testing/namespaces.ts';
import { GidTableModel, gidOf } from './address-order.ts';
import { PodAddresses } from './pod-addresses.ts';

const MAC = '02:00:00:00:00:07';
const DEFAULT = 'fe80::ff:fe00:7';
const ifname = 'net1';

/** A pod's network namespace, with the GID table of a device on its macvlan. */
class Pod {
  readonly name: string;
  readonly netns: string;
  table = new GidTableModel(new Map([[0, DEFAULT]]));
  /** How many reads of the table it takes until a change shows. */
  lag = 0;
  #shown = this.table.gids;
  #reads = 0;
  changes = 0;
  /** Fails at that change, as if the agent had died. */
  diesAt = Infinity;
  readonly addresses: PodAddresses;

  constructor(role: string) {
    this.name = `slt-${role}${process.pid}`;
    this.netns = netnsPath(this.name);
    const driver = {
      devices: async () => [{ name: 'rxe0', netdev: ifname } as RdmaDevice],
      gids: async () => {
        if (this.#reads++ >= this.lag) this.#shown = new Map(this.table.gids);
        return [...this.#shown].map(([index, gid]) => {
          return { index, gid, netdev: ifname, type: 'RoCE v2' as const };
        });
      },
    };
    const note = async (type: 'add' | 'remove', of: { address: PlainAddress }) => {
      if (this.changes++ >= this.diesAt) throw new Error('the agent has died');
      const { netns } = this;
      await addon[`${type}Address`]({ netns, ifname, address: of.address });
      this.table.apply({ type, address: of.address });
      this.#reads = 0;
    };
    this.addresses = new PodAddresses(driver, {
      addAddress: (of) => note('add', of),
      removeAddress: (of) => note('remove', of).then(() => true),
    });
  }

  /** As CNI does it. */
  make(...given: string[]): void {
    sh(`ip netns add ${this.name}
      ip netns exec ${this.name} sysctl -qw net.ipv4.conf.all.promote_secondaries=1
      ip -n ${this.name} link add up0 type veth peer name up1
      ip -n ${this.name} link set up1 up && ip -n ${this.name} link set up0 up
      ip -n ${this.name} link add ${ifname} link up0 address ${MAC} type macvlan mode bridge
      ip -n ${this.name} link set ${ifname} up`);
    this.table = new GidTableModel(new Map([[0, DEFAULT]]));
    this.#shown = this.table.gids;
    [this.changes, this.diesAt, this.lag] = [0, Infinity, 0];
    for (const one of given) this.ip('add', one);
  }

  /** Within the pod: `10.9.0.1/24 metric 5`. */
  ip(command: 'add' | 'del', text: string): void {
    const nodad = text.includes(':') && command === 'add' ? 'nodad' : '';
    sh(`ip -n ${this.name} addr ${command} ${text} dev ${ifname} ${nodad}`);
    const [address = '', prefix] = text.split(' ')[0]!.split('/');
    const peer = /peer ([^/ ]+)/.exec(text)?.[1];
    const one = { address, prefix: Number(prefix), ...(peer && { peer }) };
    this.table.apply({ type: command === 'add' ? 'add' : 'remove', address: one });
  }

  /** What `ip` shows of its addresses, but for what differs anyhow. */
  show(what = 'addr'): string {
    return sh(`ip -n ${this.name} ${what} show dev ${ifname}`)
      .replace(/^\d+: .*\n.*link\/.*\n/m, '')
      .replace(/ (nodad|tentative|proto \S+)/g, '')
      .replace(/\d+sec/g, 'sec');
  }

  remove(): void {
    sh(`ip netns del ${this.name} 2>/dev/null || true`);
  }
}

const source = new Pod('src');
const target = new Pod('dst');
const all = () => true;

describe.runIf(able)('the addresses of a target', () => {
  afterAll(() => {
    for (const pod of [source, target]) pod.remove();
  });
  beforeEach(() => {
    for (const pod of [source, target]) pod.remove();
  });

  const move = async () => {
    await target.addresses.place(target.netns, await source.addresses.read(source.netns, all));
  };
  const expectSame = () => {
    expect([...target.table.gids].sort()).toEqual([...source.table.gids].sort());
    expect(target.show()).toBe(source.show());
    for (const family of ['-4', '-6'])
      expect(target.show(`${family} route`)).toBe(source.show(`${family} route`));
  };

  it('are left alone if they are the source’s', async () => {
    source.make('10.9.0.1/24', 'fd00::1/64');
    target.make('10.9.0.1/24', 'fd00::1/64');
    await move();
    expect(target.changes).toBe(0);
    expectSame();
  });

  it('become the source’s, with indexes, holes, order, attributes and the kernel’s routes', async () => {
    source.make('10.9.0.1/24');
    source.ip('add', '10.9.0.2/24 brd + label net1:b');
    source.ip('add', 'fd00::7/64 metric 77');
    source.ip('add', '10.8.0.1/16 scope link noprefixroute');
    source.ip('add', '172.16.0.1/32 peer 172.16.0.2/32');
    source.ip('add', 'fd00:1::1/64 valid_lft 5000 preferred_lft 0');
    source.ip('del', '10.9.0.2/24');
    source.ip('add', 'fe80::9/64');
    source.ip('del', '10.8.0.1/16');
    target.make('10.9.0.1/24');
    target.lag = 2;
    await move();
    // Index 2 was free when the link-local address came, and 4 is a hole.
    expect([...source.table.gids.keys()].sort()).toEqual([0, 1, 2, 3, 5, 6]);
    expectSame();
    const changes = target.changes;
    await move();
    expect(target.changes).toBe(changes);
  });

  it('come with the source’s MTU, whether it is smaller or larger', async () => {
    for (const [of, mtu] of [
      [source, 1400],
      [target, 1300],
    ] as const) {
      for (const pod of [source, target]) pod.remove();
      source.make('10.9.0.1/24', 'fd00::1/64');
      target.make('10.9.0.1/24', 'fd00::1/64');
      sh(`ip -n ${of.name} link set ${ifname} mtu ${mtu}`);
      await move();
      const { mtu: now } = await addon.interfaceInfo(target.netns, ifname);
      expect(now).toBe(of === source ? mtu : 1500);
      expectSame();
    }
  });

  it('are refused with an MTU that the target’s network does not carry', async () => {
    source.make('10.9.0.1/24');
    target.make('10.9.0.1/24');
    sh(
      `ip -n ${source.name} link set up0 mtu 9000 && ip -n ${source.name} link set ${ifname} mtu 9000`,
    );
    await expect(move()).rejects.toMatchObject({
      code: 'AddressesDiffer',
      message: expect.stringMatching(
        /^The target's interface net1 has an MTU of 1500 .* 9000: /,
      ) as string,
    });
  });

  it('differ in their digest where only the MTU does', async () => {
    source.make('10.9.0.1/24');
    const { digest } = await source.addresses.read(source.netns, all);
    sh(`ip -n ${source.name} link set ${ifname} mtu 1400`);
    expect((await source.addresses.read(source.netns, all)).digest).not.toBe(digest);
  });

  it('keep the routes of their network', async () => {
    source.make('fd00::7/64', '10.9.0.9/24', '10.9.0.1/24');
    target.make('10.9.0.1/24');
    sh(`ip -n ${target.name} route add default via 10.9.0.254 dev ${ifname} src 10.9.0.1
      ip -n ${target.name} route add 10.7.0.0/16 via 10.9.0.254 dev ${ifname}`);
    await move();
    const routes = target.show('route');
    expect(routes).toMatch(/^default via 10\.9\.0\.254 src 10\.9\.0\.1/m);
    expect(routes).toMatch(/^10\.7\.0\.0\/16 via 10\.9\.0\.254/m);
    expect(routes).toMatch(/^10\.9\.0\.0\/24 scope link src 10\.9\.0\.9/m);
  });

  it('become the source’s although an agent died in the middle', async () => {
    source.make('fd00::7/64', '10.9.0.9/24', '10.9.0.1/24');
    source.ip('del', '10.9.0.9/24');
    for (const died of [1, 4, 7]) {
      target.remove();
      target.make('10.9.0.1/24', '10.9.0.3/24');
      target.diesAt = died;
      await expect(move()).rejects.toThrow('the agent has died');
      target.diesAt = Infinity;
      await move();
      expectSame();
    }
  });

  it('cannot be given to an interface without IPv6: the message says which', async () => {
    source.make('10.9.0.1/24', 'fd00::7/64');
    target.make('10.9.0.1/24');
    sh(`ip netns exec ${target.name} sysctl -qw net.ipv6.conf.${ifname}.disable_ipv6=1`);
    await expect(move()).rejects.toMatchObject({
      code: 'AddressesDiffer',
      message: expect.stringMatching(
        /^The target's interface net1 .*add address \S+ to net1: \S+/,
      ) as string,
    });
  });

  it('are the source’s on an interface without IPv6 too, if only the kernel has made any', async () => {
    source.make('10.9.0.2/24', '10.9.0.1/24');
    target.make('10.9.0.1/24');
    sh(`ip netns exec ${target.name} sysctl -qw net.ipv6.conf.${ifname}.disable_ipv6=1`);
    await move();
    expect(target.table.gids).toEqual(source.table.gids);
    await move();
  });

  it('are those of the pod and of the kernel, and not what others have added', async () => {
    source.make('10.9.0.1/24', '10.9.0.66/24', 'fd00::7/64');
    const given = new Set(['10.9.0.1', 'fd00::7']);
    const { interfaces, digest } = await source.addresses.read(source.netns, (one) =>
      given.has(one),
    );
    expect(interfaces).toEqual([
      {
        name: ifname,
        mtu: 1500,
        addresses: [
          { address: '10.9.0.1', prefix: 24, gidIndex: 1 },
          { address: DEFAULT, prefix: 64, gidIndex: 0 },
          { address: 'fd00::7', prefix: 64, gidIndex: 3 },
        ],
      },
    ]);
    target.make('10.9.0.1/24');
    await target.addresses.place(target.netns, { interfaces });
    expect([...target.table.gids.keys()].sort()).toEqual([0, 1, 3]);
    const again = await target.addresses.read(target.netns, all);
    expect(again.digest).toBe(digest);
    expect((await source.addresses.read(source.netns, all)).digest).not.toBe(digest);
  });

  it('are as they were if the source has no such interface', async () => {
    target.make('10.9.0.1/24');
    await target.addresses.place(target.netns, { interfaces: [{ name: 'net2', addresses: [] }] });
    await target.addresses.place(target.netns, { interfaces: [] });
    expect([target.changes, target.table.gids.get(1)]).toEqual([0, gidOf({ address: '10.9.0.1' })]);
  });
});
