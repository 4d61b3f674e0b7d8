// SPDX-License-Identifier: Apache-2.0
// The addresses that queue pairs and address handles send from. A program knows each by its index in the device's GID
// table, so a restore wants the same one there (native/criu-plugin/build.c, wait_gid()). Which index an address gets
// depends on when it was given to the interface.
import type { GidEntry } from '../../../../crds/src/index.ts';
import type { Gid, RxeObject } from '../../../../native/addon/index.ts';
import { locate, refusal, what, type NameProcess, type OpenContext } from './object-names.ts';

/** A device of a pod and what uses its addresses. */
export interface AddressUse {
  device: string;
  /** The interface that it is on. */
  interface: string;
  gids: readonly Gid[];
  objects: readonly RxeObject[];
  opened: readonly OpenContext[];
}

interface Used {
  index: number;
  entry: Gid;
  /** `Process 40 (app) has queue pair 17 ... with source address ...` */
  text: string;
}

/**
 * Pure.
 * @param target GID tables of the target; those of other interfaces are unknown
 * @returns of each address that has another index there, or none: who uses it, both addresses, and what to do
 */
export function* otherIndexes(
  use: AddressUse,
  target: readonly GidEntry[],
  nameOf: NameProcess,
): Generator<string> {
  const there = target.filter((one) => one.interface === use.interface);
  if (there.length === 0) return;
  for (const { index, entry, text } of usedAddresses(use, nameOf)) {
    const now = there.find((one) => one.index === index)?.gid;
    if (now === entry.gid) continue;
    const elsewhere = there.find(({ gid }) => gid === entry.gid)?.index;
    yield refusal(
      `${text}; on the target index ${index} has ${now ?? 'no address'}, and that address ` +
        (elsewhere === undefined ? 'is not there' : `has index ${elsewhere}`),
      elsewhere === undefined
        ? ADVICE
        : 'Addresses have their indexes in the order in which the interface gets them: start the pod anew, with all its ' +
            'addresses given by its network, or let the process use another address (ibv_gid_entry.gid_index)',
    );
  }
}

/**
 * What no target has: addresses that the pod's networks do not know of. Pure.
 * @param known those that they do; none: nothing is known of them
 */
export function* unknownAddresses(
  use: AddressUse,
  known: readonly string[],
  nameOf: NameProcess,
): Generator<string> {
  const given = new Set(known.map(gidOf));
  for (const { entry, text } of usedAddresses(use, nameOf)) {
    if (entry.netdev !== undefined && entry.netdev !== use.interface) {
      yield refusal(`${text}, of interface ${entry.netdev}, which a target does not get`, ADVICE);
    } else if (given.size > 0 && !given.has(entry.gid) && !isLinkLocal(entry.gid)) {
      yield refusal(
        `${text}, which the pod's networks have not given and a target does not get`,
        ADVICE,
      );
    }
  }
}

const ADVICE =
  "Let the pod's network give the address (annotation k8s.v1.cni.cncf.io/networks) instead of adding it in the pod, or " +
  'let the process use one that the network has given (perftest: -x; UCX: UCX_IB_GID_INDEX)';

/** Each index once. */
function* usedAddresses(use: AddressUse, nameOf: NameProcess): Generator<Used> {
  const seen = new Set<number>();
  for (const object of use.objects) {
    const index = object.sourceIndex;
    // One that has left the interface has a reason of its own (supported-objects.ts).
    if (index === undefined || object.sourceAddressLost === true || seen.has(index)) continue;
    const entry = use.gids.find((one) => one.index === index);
    const located = locate(object, use, nameOf);
    if (!entry || !located) continue;
    seen.add(index);
    const { owner, where } = located;
    const text = `${owner} has ${what(object)} ${where} with source address ${entry.gid}, GID index ${index}`;
    yield { index, entry, text };
  }
}

/** An address in the notation of the GID table; IPv6 addresses are in their canonical form in both. */
const gidOf = (address: string): string =>
  address.includes(':') ? address.toLowerCase() : `::ffff:${address}`;

/** Made of the interface's MAC address, which the target's has too. */
const isLinkLocal = (gid: string): boolean => /^fe[89ab]/i.test(gid);
