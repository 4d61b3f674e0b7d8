// SPDX-License-Identifier: Apache-2.0
// The order of changes, over a model of the kernel: its lists of addresses (net/ipv4/devinet.c, net/ipv6/addrconf.c) and its
// GID table (drivers/infiniband/core/cache.c), written apart from the code under test.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FabricAddress } from '../../../../crds/src/index.ts';
import {
  changesTo,
  fingerprint,
  gidOf,
  type Change,
  type InterfaceState,
} from './address-order.ts';

const DEFAULT = 'fe80::ff:fe00:1';

/** Of an interface with the MAC address 02:00:00:00:00:01. */
class Kernel {
  ipv4: FabricAddress[] = [];
  /** Newest first, by scope. */
  ipv6: FabricAddress[] = [];
  readonly gids: (string | undefined)[] = [DEFAULT];
  promotes = true;

  static readonly #subnet = ({ address, prefix }: FabricAddress) =>
    address
      .split('.')
      .map((part) => Number(part).toString(2).padStart(8, '0'))
      .join('')
      .slice(0, prefix) + `/${prefix}`;
  static readonly #isLocal = ({ address }: FabricAddress) => address.startsWith('fe80');

  isSecondary(one: FabricAddress): boolean {
    const first = this.ipv4.find((other) => Kernel.#subnet(other) === Kernel.#subnet(one));
    return first !== undefined && first !== one;
  }

  do({ type, address }: Change): void {
    if (type === 'add') this.add(address);
    else this.remove(address);
  }

  add({ gidIndex: _, ...one }: FabricAddress): void {
    const isSame = (other: FabricAddress) =>
      other.address === one.address && (other.prefix === one.prefix || one.address.includes(':'));
    if ([...this.ipv4, ...this.ipv6].some(isSame)) throw new Error(`EEXIST ${one.address}`);
    if (one.address.includes(':')) {
      const at = this.ipv6.findIndex((other) => Kernel.#isLocal(one) <= Kernel.#isLocal(other));
      this.ipv6.splice(at < 0 ? this.ipv6.length : at, 0, one);
      if (Kernel.#isLocal(one)) this.ipv6.sort((a, b) => +Kernel.#isLocal(a) - +Kernel.#isLocal(b));
    } else if (this.ipv4.some((other) => Kernel.#subnet(other) === Kernel.#subnet(one))) {
      this.ipv4.push(one);
    } else {
      const primaries = this.ipv4.filter((other) => !this.isSecondary(other));
      this.ipv4.splice(primaries.length, 0, one);
    }
    const gid = gidOf(one);
    if (this.gids.includes(gid)) return;
    let free = 1;
    while (this.gids[free] !== undefined) free++;
    this.gids[free] = gid;
  }

  remove({ address, prefix }: Pick<FabricAddress, 'address' | 'prefix'>): void {
    const is = (one: FabricAddress) => one.address === address && one.prefix === prefix;
    const one = [...this.ipv4, ...this.ipv6].find(is);
    if (!one) throw new Error(`EADDRNOTAVAIL ${address}`);
    const wasPrimary = !this.isSecondary(one);
    this.ipv4 = this.ipv4.filter((other) => other !== one);
    this.ipv6 = this.ipv6.filter((other) => other !== one);
    this.#forget(one);
    if (address.includes(':') || !wasPrimary) return;
    const left = this.ipv4.filter((other) => Kernel.#subnet(other) === Kernel.#subnet(one));
    if (!this.promotes) {
      this.ipv4 = this.ipv4.filter((other) => !left.includes(other));
      for (const other of left) this.#forget(other);
    } else if (left[0]) {
      const [first] = left;
      this.ipv4 = this.ipv4.filter((other) => other !== first);
      const primaries = this.ipv4.filter(
        (other) => !this.isSecondary(other) && !left.includes(other),
      );
      this.ipv4.splice(primaries.length, 0, first);
    }
  }

  #forget(one: FabricAddress): void {
    const index = this.gids.lastIndexOf(gidOf(one));
    if (index > 0) this.gids[index] = undefined;
  }

  get table(): Map<number, string> {
    return new Map(
      this.gids.flatMap((gid, index) => (gid === undefined ? [] : [[index, gid] as const])),
    );
  }

  /** As the agent reads it. */
  get state(): InterfaceState {
    const withIndex = (one: FabricAddress): FabricAddress => {
      const index = this.gids.indexOf(gidOf(one));
      return index < 0 ? one : { ...one, gidIndex: index };
    };
    const addresses = [...this.ipv4, ...this.ipv6.toReversed()].map(withIndex);
    return { addresses, gids: this.table };
  }
}

const at = (text: string): FabricAddress => {
  const [address = '', prefix] = text.split('/');
  return { address, prefix: Number(prefix) };
};
const local = at(`${DEFAULT}/64`);
const made = (...texts: string[]): Kernel => {
  const kernel = new Kernel();
  for (const one of [local, ...texts.map(at)]) kernel.add(one);
  return kernel;
};
/** Brings the target to the source, and returns what that took. */
function move(source: Kernel, target: Kernel): string[] {
  const changes = changesTo(source.state.addresses, target.state);
  for (const change of changes) target.do(change);
  return changes.map(({ type, address }) => `${type} ${address.address}`);
}

const [A, B, ULA] = ['10.9.0.1/24', '10.9.0.2/24', 'fd00::7/64'];

describe('the order of address changes', () => {
  it('is none where the interface is so already, lifetimes aside', () => {
    expect(move(made(A, ULA), made(A, ULA))).toEqual([]);
    const brief = new Kernel();
    brief.add({ ...at(ULA), validSeconds: 100, preferredSeconds: 50 });
    const aged = new Kernel();
    aged.add({ ...at(ULA), validSeconds: 90, preferredSeconds: 40 });
    expect(move(brief, aged)).toEqual([]);
    expect(move(made(), made())).toEqual([]);
  });

  it('gives each address the index that it has in the source', () => {
    const source = made(ULA, B, A);
    const target = made(A);
    expect(target.gids).toEqual([DEFAULT, gidOf(at(A))]);
    move(source, target);
    expect(target.gids).toEqual([DEFAULT, ...[ULA, B, A].map((one) => gidOf(at(one)))]);
    // Which of a subnet is the primary one chooses the source address of a socket.
    expect(target.ipv4.map(({ address }) => address)).toEqual(['10.9.0.2', '10.9.0.1']);
  });

  it('leaves holes where the source has them', () => {
    const source = made(A, B, ULA);
    source.remove(at(B));
    const target = made(A);
    move(source, target);
    expect(target.table).toEqual(source.table);
    expect([...target.table.keys()]).toEqual([0, 1, 3]);
    source.remove(at(A));
    move(source, target);
    expect(target.table).toEqual(source.table);
  });

  it('removes what the source has not, and leaves no placeholder', () => {
    const target = made(B, A, ULA);
    move(made(), target);
    expect(target.state).toEqual(made().state);
  });

  it('makes another order of addresses than of indexes', () => {
    // A later address has the index of one that has gone.
    const source = made('172.16.0.1/24', A);
    source.remove(at('172.16.0.1/24'));
    source.add(at('172.17.0.1/24'));
    const target = made(A);
    move(source, target);
    expect(target.state).toEqual(source.state);
    expect(target.ipv4.map(({ address }) => address)).toEqual(['10.9.0.1', '172.17.0.1']);
  });

  it('keeps one index for an address with two prefixes', () => {
    const source = made('10.9.0.1/24', '10.9.0.1/16', ULA);
    const target = made();
    move(source, target);
    expect(target.state).toEqual(source.state);
    expect(target.gids).toHaveLength(3);
  });

  it('replaces an address that has other attributes', () => {
    const source = new Kernel();
    source.add({ ...at(A), flags: 0x200, metric: 7, broadcast: '10.9.0.255', label: 'net1:1' });
    const target = made(A);
    move(source, target);
    expect(fingerprint(target.ipv4)).toBe(fingerprint(source.ipv4));
  });

  it('leaves the link-local address of the MAC address alone, and takes it away where the source has', () => {
    const target = made(A);
    expect(move(made(B), target)).not.toContain(`remove ${DEFAULT}`);
    const source = made(B);
    source.remove(local);
    move(source, target);
    expect(target.state).toEqual(source.state);
    expect(target.gids[0]).toBe(DEFAULT);
    move(made(B), target);
    expect(target.state).toEqual(made(B).state);
  });

  it('gives no link-local address of another MAC address to an interface', () => {
    const source = made(A, ULA);
    const other = source.state.addresses.map((one) =>
      one.gidIndex === 0 ? { ...one, address: 'fe80::ff:fe00:2' } : one,
    );
    const target = made(A);
    for (const change of changesTo(other, target.state)) target.do(change);
    expect(target.state).toEqual(source.state);
  });

  it('counts the other end’s address of a point-to-point link', () => {
    const source = new Kernel();
    source.add(at(ULA));
    source.add({ ...at('10.9.0.1/32'), peer: '10.8.0.1' });
    const target = made();
    target.add({ ...at('10.9.0.1/32'), peer: '10.8.0.1' });
    move(source, target);
    expect(target.gids).toEqual([DEFAULT, gidOf(at(ULA)), '::ffff:10.8.0.1']);
  });

  it('goes on from wherever an earlier attempt has ended', () => {
    const source = made(ULA, B, A);
    source.remove(at(B));
    const whole = changesTo(source.state.addresses, made(A).state);
    for (let done = 0; done <= whole.length; done++) {
      const target = made(A);
      for (const change of whole.slice(0, done)) target.do(change);
      move(source, target);
      expect(target.state).toEqual(source.state);
    }
  });

  it('uses no address as placeholder that the source has', () => {
    const source = made('198.18.0.2/15', A, '198.18.0.1/32');
    source.remove(at(A));
    const target = made(A);
    move(source, target);
    expect(target.table).toEqual(source.table);
  });
});

describe('any two interfaces', () => {
  const pool = [
    ...['10.9.0.1/24', '10.9.0.2/24', '10.9.0.3/24', '10.9.0.1/16', '10.8.0.1/24', '198.18.0.1/32'],
    ...['fd00::1/64', 'fd00::2/64', '2001:db8::9/128', 'fe80::5/64', `${DEFAULT}/64`],
  ].map(at);
  /** Comes, or goes if it is there. */
  const toggles = fc.array(fc.nat(pool.length - 1), { maxLength: 24 });
  /** The kernel's own link-local address stays where it is. */
  const ordered = (addresses: readonly FabricAddress[]) => [
    ...addresses.filter(({ gidIndex }) => gidIndex === 0),
    ...addresses.filter(({ gidIndex }) => gidIndex !== 0),
  ];
  const after = (numbers: number[], promotes: boolean): Kernel => {
    const kernel = new Kernel();
    kernel.promotes = promotes;
    for (const number of numbers) {
      const one = pool[number]!;
      const isThere = [...kernel.ipv4, ...kernel.ipv6].some(
        (other) => other.address === one.address && other.prefix === one.prefix,
      );
      if (isThere) kernel.remove(one);
      else kernel.add(one);
    }
    return kernel;
  };

  it('are the same after the changes, addresses and indexes', () => {
    let compared = 0;
    fc.assert(
      fc.property(toggles, toggles, fc.boolean(), (one, other, promotes) => {
        const [source, target] = [after(one, promotes), after(other, promotes)];
        const { addresses } = source.state;
        move(source, target);
        for (const one of addresses.filter(({ gidIndex }) => gidIndex !== undefined))
          expect(target.table.get(one.gidIndex!)).toBe(gidOf(one));
        expect(changesTo(addresses, target.state)).toEqual([]);
        // The kernel forgets the index of an address with two prefixes when one of them goes. Nothing else can do that.
        if (addresses.some(({ gidIndex }) => gidIndex === undefined)) return;
        compared++;
        expect(target.table).toEqual(source.table);
        expect(ordered(target.state.addresses)).toEqual(ordered(source.state.addresses));
      }),
      { numRuns: 600 },
    );
    expect(compared).toBeGreaterThan(400);
  });
});
