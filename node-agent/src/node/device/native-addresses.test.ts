// SPDX-License-Identifier: Apache-2.0
// One address added and removed, with all that there is of it, and the routes that others have made. On the real kernel.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { able, netnsPath, sh } from '../../testing/namespaces.ts';
import * as addon from '../../../../native/addon/index.ts';

const name = `sla-addr${process.pid}`;
const [netns, ifname] = [netnsPath(name), 'net1'];
const code = (work: Promise<unknown>) =>
  work.then(
    () => 'no error',
    (error: unknown) => (error instanceof addon.NativeError ? error.code : String(error)),
  );
const NOPREFIXROUTE = 0x200;
const show = (what: string) => sh(`ip -n ${name} ${what}`);

describe.runIf(able)('an interface’s addresses', () => {
  beforeEach(() => {
    sh(`ip netns add ${name}
      ip -n ${name} link add up0 type veth peer name up1
      ip -n ${name} link set up1 up && ip -n ${name} link set up0 up
      ip -n ${name} link add ${ifname} link up0 address 02:00:00:00:00:07 type macvlan mode bridge
      ip -n ${name} link set ${ifname} up`);
  });
  afterEach(() => void sh(`ip netns del ${name}`));

  const add = (address: addon.PlainAddress) => addon.addAddress({ netns, ifname, address });
  const remove = (address: addon.PlainAddress) => addon.removeAddress({ netns, ifname, address });
  const read = async (address: string) =>
    (await addon.interfaceInfo(netns, ifname)).addresses.find((one) => one.address === address);

  it('are as they were asked for', async () => {
    const all = [
      { address: '10.9.0.1', prefix: 24, broadcast: '10.9.0.255', label: 'net1:x', metric: 70 },
      { address: '10.9.1.1', prefix: 24, scope: 253, flags: NOPREFIXROUTE },
      { address: '10.9.2.1', prefix: 32, peer: '10.9.3.1' },
      { address: '10.9.4.1', prefix: 24, validSeconds: 500, preferredSeconds: 100 },
      { address: 'fd00::1', prefix: 64, metric: 9 },
      { address: 'fd00::2', prefix: 128, peer: 'fd00::3' },
      {
        address: 'fd00:1::1',
        prefix: 64,
        flags: NOPREFIXROUTE,
        validSeconds: 500,
        preferredSeconds: 0,
      },
      { address: 'fe80::9', prefix: 64 },
    ];
    for (const one of all) await add(one);
    for (const { validSeconds, preferredSeconds, flags = 0, ...one } of all) {
      const found = await read(one.address);
      expect(found).toMatchObject(one);
      expect((found?.flags ?? 0) & NOPREFIXROUTE).toBe(flags);
      for (const [now, wanted] of [
        [found?.validSeconds, validSeconds],
        [found?.preferredSeconds, preferredSeconds],
      ]) {
        if (wanted === undefined) expect(now).toBeUndefined();
        else expect(Math.abs((now ?? Infinity) - wanted)).toBeLessThan(5);
      }
    }
    // Without duplicate address detection they are usable at once.
    expect(show(`-6 addr show dev ${ifname} tentative`)).not.toContain('fd00');
    const routes = show('route');
    expect(routes).toMatch(/^10\.9\.0\.0\/24 .* metric 70/m);
    expect(routes).not.toContain('10.9.1.0/24');
    for (const one of all) expect(await remove(one)).toBe(true);
    for (const one of all) expect(await remove(one)).toBe(false);
  });

  it('are in the kernel’s order, from which the order of their coming follows', async () => {
    for (const address of ['10.9.0.2', '10.9.0.1']) await add({ address, prefix: 24 });
    for (const address of ['fd00::2', 'fd00::1', 'fe80::9']) await add({ address, prefix: 64 });
    const { addresses } = await addon.interfaceInfo(netns, ifname);
    const local = 'fe80::ff:fe00:7';
    expect(addresses.map(({ address }) => address)).toEqual([
      ...['10.9.0.2', '10.9.0.1', 'fd00::1', 'fd00::2', 'fe80::9', local],
    ]);
    // IFAPROT_KERNEL_LL
    expect(addresses.map(({ protocol }) => protocol).slice(4)).toEqual([undefined, 3]);
    // IFA_F_SECONDARY
    expect(addresses.map(({ flags = 0 }) => flags & 1)).toEqual([0, 1, 0, 0, 0, 0]);
  });

  it('are refused by name', async () => {
    const one = { address: '10.9.0.1', prefix: 24 };
    await add(one);
    expect(await code(add(one))).toBe('EEXIST');
    expect(await code(addon.addAddress({ netns, ifname: 'nope', address: one }))).toBe(
      'NoSuchInterface',
    );
    for (const wrong of [
      { address: 'x', prefix: 24 },
      { address: '', prefix: 24 },
      { address: '10.9.0.1/24', prefix: 24 },
      { address: '10.9.0.1', prefix: 33 },
      { address: '10.9.0.1', prefix: -1 },
      { address: '10.9.0.1', prefix: 24, peer: 'fd00::1' },
      { address: '10.9.0.1', prefix: 24, scope: 256 },
      { address: '10.9.0.1', prefix: 24, label: 'x'.repeat(16) },
      { address: '10.9.0.1', prefix: 24, metric: 1.5 },
    ]) {
      expect(await code(add(wrong)), JSON.stringify(wrong)).toBe('BadArgument');
    }
    sh(`ip netns exec ${name} sysctl -qw net.ipv6.conf.${ifname}.disable_ipv6=1`);
    expect(await code(add({ address: 'fd00::1', prefix: 64 }))).toMatch(/^E[A-Z]+$/);
  });

  it('take routes along that are given back', async () => {
    const [one, other] = [
      { address: '10.9.0.1', prefix: 24 },
      { address: '10.9.1.1', prefix: 24 },
    ];
    await add(one);
    await add({ address: 'fd00::1', prefix: 64 });
    sh(`ip -n ${name} route add default via 10.9.0.254 dev ${ifname} src 10.9.0.1
      ip -n ${name} route add 10.7.0.0/16 via 10.9.0.254 dev ${ifname} metric 5
      ip -n ${name} route add 10.6.0.0/16 via 10.5.0.1 dev ${ifname} onlink table 77
      ip -n ${name} -6 route add fd07::/64 via fd00::fe dev ${ifname} src fd00::1`);
    const listed = () => [show('route show table all'), show('-6 route show table all')];
    const before = listed();
    const routes = await addon.keptRoutes({ netns, ifname });
    expect(routes).toHaveLength(4);
    await add(other);
    await remove(one);
    expect(show('route')).not.toContain('default');
    await add(one);
    await remove(other);
    expect(await addon.giveRoutesBack({ netns, routes })).toBe(0);
    const sorted = (texts: string[]) => texts.map((text) => text.split('\n').sort());
    expect(sorted(listed())).toEqual(sorted(before));
    expect(await addon.giveRoutesBack({ netns, routes })).toBe(0);
    expect(sorted(listed())).toEqual(sorted(before));
    await remove(one);
    expect(await addon.giveRoutesBack({ netns, routes })).toBe(2);
    expect(await code(addon.giveRoutesBack({ netns, routes: [Buffer.from('x')] }))).toBe(
      'BadArgument',
    );
  });
});
