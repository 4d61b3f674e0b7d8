// SPDX-License-Identifier: Apache-2.0
// In which order to change the addresses of an interface, so that each has the index in the GID table that it has
// elsewhere. Pure. The kernel gives each new address the first free index, and an address that goes leaves its index free
// (__ib_cache_gid_add() and del_gid() in drivers/infiniband/core/cache.c). The indexes of default GIDs are apart: they are
// made of the MAC address, and the link-local address that is made of it too has no other index.
import type { FabricAddress } from '../../../../crds/src/index.ts';

/** rxe has RoCE v2 only, so that one index is for default GIDs (gid_table_reserve_default()). */
const FIRST_INDEX = 1;

export type GidTable = ReadonlyMap<number, string>;

/** An interface and the GID table of the device on it. */
export interface InterfaceState {
  /** In an order in which adding them makes the same interface. */
  readonly addresses: readonly FabricAddress[];
  readonly gids: GidTable;
}

export interface Change {
  readonly type: 'add' | 'remove';
  readonly address: FabricAddress;
}

export const isIpv6 = ({ address }: Pick<FabricAddress, 'address'>): boolean =>
  address.includes(':');

/** In the notation of the GID table. Of a point-to-point link it is the other end's (inetaddr_event()). */
export const gidOf = (of: Pick<FabricAddress, 'address' | 'peer'>): string =>
  isIpv6(of) ? of.address.toLowerCase() : `::ffff:${of.peer ?? of.address}`;

/** What the kernel makes of a GID table when addresses come and go. */
export class GidTableModel {
  readonly #gids: Map<number, string>;

  constructor(gids: GidTable) {
    this.#gids = new Map(gids);
  }

  get gids(): GidTable {
    return this.#gids;
  }

  get firstFree(): number {
    let index = FIRST_INDEX;
    while (this.#gids.has(index)) index++;
    return index;
  }

  apply({ type, address }: Change): void {
    const gid = gidOf(address);
    const index = [...this.#gids].find(([, one]) => one === gid)?.[0];
    if (type === 'add' && index === undefined) this.#gids.set(this.firstFree, gid);
    if (type === 'remove' && index !== undefined && index >= FIRST_INDEX) this.#gids.delete(index);
  }
}

/** Times that pass say nothing. */
const comparable = ({ validSeconds, preferredSeconds: _, ...rest }: FabricAddress): string =>
  JSON.stringify(
    Object.entries({ ...rest, isBrief: validSeconds !== undefined })
      .filter(([, value]) => value !== undefined)
      .sort(([one], [other]) => (one < other ? -1 : 1)),
  );

/** The same text for lists that make the same interface. The order between IPv4 and IPv6 addresses shows nowhere. */
export const fingerprint = (addresses: readonly FabricAddress[]): string =>
  [...addresses.filter((one) => !isIpv6(one)), ...addresses.filter(isIpv6)]
    .map(comparable)
    .join('\n');

/**
 * The changes that make the interface have these addresses, in their order, each at its `gidIndex`; no other index has any.
 * None if it is so already.
 *
 * Every index up to the highest is first taken by a placeholder. Then each address finds the one free index that the
 * removal of its placeholder has left. What is left of the placeholders at the end are the holes of the table.
 */
export function changesTo(wanted: readonly FabricAddress[], now: InterfaceState): Change[] {
  const isDefault = (one: FabricAddress) => gidOf(one) === now.gids.get(0);
  const due = wanted.filter((one) => !isDefault(one) && one.gidIndex !== 0);
  const there = now.addresses.filter((one) => !isDefault(one));
  return [
    ...(isPlaced(due, there, now.gids) ? [] : rebuilt(due, there, now.gids)),
    ...defaultChanges(wanted.find(isDefault), now.addresses.find(isDefault), wanted),
  ];
}

/** The kernel makes the link-local address of the MAC address itself, unless it has no IPv6. It has no index to be kept. */
export const isByKernel = ({ type, address }: Change): boolean =>
  type === 'add' && address.gidIndex === 0;

function defaultChanges(
  due: FabricAddress | undefined,
  there: FabricAddress | undefined,
  wanted: readonly FabricAddress[],
): Change[] {
  if (due && !there) return [{ type: 'add', address: due }];
  // The source's may be made of another MAC address: each has its own.
  const isGone = there !== undefined && !wanted.some(({ gidIndex }) => gidIndex === 0);
  return isGone ? [{ type: 'remove', address: there }] : [];
}

/** One that had no index may have any: the kernel forgets that of an address with two prefixes when one of them goes. */
function isPlaced(
  due: readonly FabricAddress[],
  there: readonly FabricAddress[],
  gids: GidTable,
): boolean {
  const free = new Set(due.filter(({ gidIndex }) => gidIndex === undefined).map(gidOf));
  const compared = there.map((one) => (free.has(gidOf(one)) ? without(one) : one));
  const fixed = new Map([...gids].filter(([, gid]) => !free.has(gid)));
  return fingerprint(due) === fingerprint(compared) && hasOnly(fixed, due);
}

const without = ({ gidIndex: _, ...one }: FabricAddress): FabricAddress => one;

function rebuilt(
  due: readonly FabricAddress[],
  there: readonly FabricAddress[],
  gids: GidTable,
): Change[] {
  const indexes = due.flatMap(({ gidIndex }) => gidIndex ?? []);
  const last = Math.max(0, ...gids.keys(), ...indexes);
  const changes = new Changes(gids, freshAddresses([...due, ...there]), last);
  changes.fill();
  for (const one of there.toReversed()) {
    changes.make('remove', one);
    changes.fill();
  }
  for (const one of due) {
    // One without an index gets one behind the last.
    if (one.gidIndex !== undefined) changes.free(one.gidIndex);
    changes.make('add', one);
  }
  changes.freeAll();
  return changes.made;
}

/** Whether the table has no index but those of these addresses. */
function hasOnly(gids: GidTable, addresses: readonly FabricAddress[]): boolean {
  const wanted = new Map(
    addresses.flatMap((one) =>
      one.gidIndex === undefined ? [] : ([[one.gidIndex, gidOf(one)]] as const),
    ),
  );
  return [...gids].every(([index, gid]) => index < FIRST_INDEX || wanted.get(index) === gid);
}

class Changes {
  readonly made: Change[] = [];
  readonly #table: GidTableModel;
  readonly #fresh: Iterator<FabricAddress>;
  readonly #last: number;
  /** By index. */
  readonly #placeholders = new Map<number, FabricAddress>();

  constructor(gids: GidTable, fresh: Iterator<FabricAddress>, last: number) {
    this.#table = new GidTableModel(gids);
    this.#fresh = fresh;
    this.#last = last;
  }

  make(type: Change['type'], address: FabricAddress): void {
    const change = { type, address };
    this.#table.apply(change);
    this.made.push(change);
  }

  /** Leaves no index free up to the last one. */
  fill(): void {
    for (let index = this.#table.firstFree; index <= this.#last; index = this.#table.firstFree) {
      const { value } = this.#fresh.next() as IteratorYieldResult<FabricAddress>;
      this.#placeholders.set(index, value);
      this.make('add', value);
    }
  }

  free(index: number): void {
    const placeholder = this.#placeholders.get(index);
    if (!placeholder) return;
    this.#placeholders.delete(index);
    this.make('remove', placeholder);
  }

  freeAll(): void {
    for (const index of this.#placeholders.keys()) this.free(index);
  }
}

const IFA_F_NOPREFIXROUTE = 0x200;

/** Addresses that no network has: those for benchmarks of devices (RFC 2544, section C.2.2), without those in use. */
function* freshAddresses(used: readonly FabricAddress[]): Generator<FabricAddress> {
  const taken = new Set(used.flatMap(({ address, peer }) => (peer ? [address, peer] : [address])));
  for (let number = 1; number < 1 << 17; number++) {
    const address = `198.${18 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
    if (!taken.has(address)) yield { address, prefix: 32, flags: IFA_F_NOPREFIXROUTE };
  }
}
