// SPDX-License-Identifier: Apache-2.0
// The addresses that queue pairs and address handles send from. A program knows each by its index in the device's GID
// table, so a restore wants the same one there (native/criu-plugin/build.c, wait_gid()). Which index an address gets
// depends on when it was given to the interface.
import type { Fabric, GidEntry } from '../../../../crds/src/index.ts';
import type { Gid, RxeObject } from '../../../../native/addon/index.ts';
import { gidOf } from './address-order.ts';
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
        : "The target's agent could not give the target the source's order: start the pod anew, with all its addresses given by " +
            'its network, or let the process use another address (ibv_gid_entry.gid_index)',
    );
  }
}

/**
 * What no target has: interfaces that were made in the pod on top of the device's own (VLANs, further macvlans). Their addresses are in
 * the same GID table. Pure.
 * @returns of each interface one of its addresses, and who uses it, if anybody does
 */
export function* foreignInterfaces(use: AddressUse, nameOf: NameProcess): Generator<string> {
  const isForeign = ({ netdev }: Gid) => netdev !== undefined && netdev !== use.interface;
  const foreign = new Map(use.gids.filter(isForeign).map((gid) => [gid.netdev, gid]));
  for (const { entry, text } of usedAddresses(use, nameOf)) {
    if (!foreign.delete(entry.netdev)) continue;
    yield refusal(`${text}, of interface ${entry.netdev}, which a target does not get`, ADVICE);
  }
  for (const [netdev, { gid, index }] of foreign) {
    yield refusal(
      `RDMA device ${use.device} has address ${gid} with GID index ${index}, of interface ${netdev}, which a target does not get`,
      `Remove interface ${netdev}, or give the pod another network in its place (annotation k8s.v1.cni.cncf.io/networks)`,
    );
  }
}

/**
 * What no target has: addresses that neither the pod's networks have given nor the pod could have added. Pure.
 * @param fabric those that a target gets; an interface that it does not have has too many
 */
export function* unknownAddresses(
  use: AddressUse,
  { interfaces }: Pick<Fabric, 'interfaces'>,
  nameOf: NameProcess,
): Generator<string> {
  const its = interfaces.find(({ name }) => name === use.interface);
  const given = new Set(its?.addresses.map(gidOf));
  for (const { index, entry, text } of usedAddresses(use, nameOf)) {
    const isForeign = entry.netdev !== undefined && entry.netdev !== use.interface;
    // Index 0 is made of the MAC address, which the target's interface has too.
    if (!its || isForeign || index === 0 || given.has(entry.gid)) continue;
    yield refusal(
      `${text}, which the pod's networks have not given and a target does not get`,
      ADVICE,
    );
  }
}

const ADVICE =
  "Let the pod's network give the address (annotation k8s.v1.cni.cncf.io/networks), or the pod itself add it to that network's " +
  'interface (capability NET_ADMIN), or let the process use one that the network has given (perftest: -x; UCX: UCX_IB_GID_INDEX)';

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
