// SPDX-License-Identifier: Apache-2.0
// The addresses of the interfaces under a pod's RDMA devices, and their MTUs: read from a source, and given to its target, which
// nobody hears and in which no process runs yet. Programs know an address by its index in the GID table, so that each gets the same one.
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  MAX_FABRIC_ADDRESSES,
  type Fabric,
  type FabricAddress,
  type FabricInterface,
} from '../../../../crds/src/index.ts';
import * as addon from '../../../../native/addon/index.ts';
import { AgentError, reasonOf } from '../../support/errors.ts';
import {
  changesTo,
  fingerprint,
  GidTableModel,
  gidOf,
  isByKernel,
  type Change,
  type GidTable,
  type InterfaceState,
} from './address-order.ts';
import type { RdmaDriver } from './driver.ts';

/** The flags that whoever adds an address may choose, and that only say something of that address (linux/if_addr.h). */
const CHOSEN_FLAGS = 0x10 /* HOMEADDRESS */ | 0x200 /* NOPREFIXROUTE */ | 0x400; /* MCAUTOJOIN */
const IPV6_TEMPORARY = 0x01;
/** IFAPROT_KERNEL_LL, the highest of the kernel's. */
const LAST_KERNEL_PROTOCOL = 3;

/** How often an interface is brought to its addresses: the kernel itself may change one meanwhile. */
const ATTEMPTS = 3;
/** How long the kernel may take to put an address into the GID table, or out of it. */
const SETTLE_MS = 3000;

export interface AddressCalls {
  devices: RdmaDriver['devices'];
  gids: RdmaDriver['gids'];
  interfaceInfo: typeof addon.interfaceInfo;
  setMtu: typeof addon.setMtu;
  addAddress: typeof addon.addAddress;
  removeAddress: typeof addon.removeAddress;
  keptRoutes: typeof addon.keptRoutes;
  giveRoutesBack: typeof addon.giveRoutesBack;
}

interface DeviceOn {
  netns: string;
  device: string;
  ifname: string;
}

export class PodAddresses {
  readonly #calls: AddressCalls;

  constructor(
    driver: Pick<RdmaDriver, 'devices' | 'gids'>,
    calls: Partial<Omit<AddressCalls, 'devices' | 'gids'>> = {},
  ) {
    this.#calls = {
      ...addon,
      ...calls,
      devices: (netns) => driver.devices(netns),
      gids: (netns, device) => driver.gids(netns, device),
    };
  }

  /**
   * The addresses of a pod's interfaces, those that travel with it. An interface with more than anybody would give it is left
   * out.
   * @param isGiven whether an address that the kernel has not made by itself is the pod's
   */
  async read(netns: string, isGiven: (address: string) => boolean): Promise<Fabric> {
    const interfaces: FabricInterface[] = [];
    for (const on of await this.#devices(netns)) {
      const { mtu, all } = await this.#addresses(on);
      const addresses = all
        .filter(({ found, address }) => isKernels(found) || isGiven(address.address))
        .map(({ address }) => address);
      if (addresses.length <= MAX_FABRIC_ADDRESSES)
        interfaces.push({ name: on.ifname, mtu, addresses });
    }
    return { digest: digestOf(interfaces), interfaces };
  }

  /**
   * Gives the interfaces of a target these MTUs and addresses, each with its GID index, and no others. Routes that others than the kernel
   * have made stay. May be repeated, also after an agent that died in the middle.
   * @throws AgentError AddressesDiffer
   */
  async place(netns: string, { interfaces }: Pick<Fabric, 'interfaces'>): Promise<void> {
    for (const on of await this.#devices(netns)) {
      const wanted = interfaces.find(({ name }) => name === on.ifname);
      if (!wanted) continue;
      // First: with less than 1280 an interface has no IPv6 address.
      if (wanted.mtu !== undefined) await this.#setMtu(on, wanted.mtu);
      await this.#place(on, wanted.addresses);
    }
  }

  /** A queue pair's packets are as large as its device's MTU allows, which goes by the interface's. */
  async #setMtu({ netns, ifname }: DeviceOn, mtu: number): Promise<void> {
    const { mtu: before } = await this.#calls.interfaceInfo(netns, ifname);
    if (before === mtu) return;
    try {
      await this.#calls.setMtu({ netns, ifname, mtu });
    } catch (error) {
      throw new AgentError(
        'AddressesDiffer',
        `The target's interface ${ifname} has an MTU of ${before} and cannot be given the source's, ${mtu}: ` +
          `${reasonOf(error).message}. Give the RDMA network the same MTU on both nodes, then create a new request.`,
        { cause: error },
      );
    }
  }

  async #place(on: DeviceOn, wanted: readonly FabricAddress[]): Promise<void> {
    const { netns, ifname } = on;
    let state = await this.#state(on);
    let changes = changesTo(wanted, state);
    if (changes.length === 0) return;
    const routes = await this.#calls.keptRoutes({ netns, ifname });
    let failure: unknown;
    for (let attempt = 0; attempt < ATTEMPTS && !changes.every(isByKernel); attempt++) {
      try {
        await this.#make(on, changes, state.gids);
      } catch (error) {
        failure = error;
      }
      state = await this.#state(on);
      changes = changesTo(wanted, state);
    }
    await this.#calls.giveRoutesBack({ netns, routes });
    if (changes.every(isByKernel)) return this.#addKernels(on, changes);
    throw new AgentError(
      'AddressesDiffer',
      `The target's interface ${ifname} cannot be given the source's addresses with their GID indexes: ` +
        `${failure === undefined ? 'they did not last' : reasonOf(failure).message}. ` +
        "Let the pod's network give it its addresses, remove the others, then create a new request.",
      { cause: failure },
    );
  }

  /** Where the target has no IPv6, nothing of the pod misses it. */
  async #addKernels({ netns, ifname }: DeviceOn, changes: readonly Change[]): Promise<void> {
    for (const { address } of changes) {
      const { gidIndex: _, ...plain } = address;
      const added = this.#calls.addAddress({ netns, ifname, address: lasting(plain) });
      await added.catch((error: unknown) => {
        if (!(error instanceof addon.NativeError)) throw error;
      });
    }
  }

  /** @throws the kernel's refusal of a change, or an error if the GID table does not follow it */
  async #make(on: DeviceOn, changes: readonly Change[], gids: GidTable): Promise<void> {
    const { addAddress, removeAddress } = this.#calls;
    const { netns, ifname } = on;
    const table = new GidTableModel(gids);
    for (const change of changes.filter((one) => !isByKernel(one))) {
      const { gidIndex: _, ...address } = change.address;
      if (change.type === 'add') await addAddress({ netns, ifname, address: lasting(address) });
      else await removeAddress({ netns, ifname, address });
      table.apply(change);
      await this.#settle(on, table.gids, change);
    }
  }

  /** The kernel changes the table some time after the address (roce_gid_mgmt.c queues it). */
  async #settle(on: DeviceOn, expected: GidTable, { address }: Change): Promise<void> {
    const end = Date.now() + SETTLE_MS;
    for (let waitMs = 1; ; waitMs = Math.min(waitMs * 2, 100)) {
      const now = await this.#gids(on);
      if (now.size === expected.size && [...expected].every(([at, gid]) => now.get(at) === gid))
        return;
      if (Date.now() > end) {
        throw new Error(`the GID table of ${on.device} does not follow ${address.address}`);
      }
      await sleep(waitMs);
    }
  }

  async #devices(netns: string): Promise<DeviceOn[]> {
    const devices = await this.#calls.devices(netns);
    return devices.flatMap(({ name: device, netdev: ifname }) =>
      ifname === undefined ? [] : [{ netns, device, ifname }],
    );
  }

  async #state(on: DeviceOn): Promise<InterfaceState> {
    const gids = await this.#gids(on);
    const { all } = await this.#addresses(on);
    return { addresses: all.map(({ address }) => address), gids };
  }

  async #gids({ netns, device }: DeviceOn): Promise<GidTable> {
    return new Map((await this.#calls.gids(netns, device)).map(({ index, gid }) => [index, gid]));
  }

  /** In an order in which adding them makes the same interface: the kernel lists the newest IPv6 address first. And the MTU. */
  async #addresses(on: DeviceOn): Promise<{
    mtu: number;
    all: { found: addon.InterfaceAddress; address: FabricAddress }[];
  }> {
    const { netns, ifname, device } = on;
    const gids = (await this.#calls.gids(netns, device)).filter(
      ({ netdev }) => netdev === undefined || netdev === ifname,
    );
    const { mtu, addresses } = await this.#calls.interfaceInfo(netns, ifname);
    const ipv6 = addresses.filter(({ family }) => family === 'ipv6').reverse();
    const ordered = [...addresses.filter(({ family }) => family === 'ipv4'), ...ipv6];
    const all = ordered.map((found) => {
      const gid = gidOf(found);
      const gidIndex = gids.find((one) => one.gid === gid)?.index;
      return { found, address: fabricAddress(found, ifname, gidIndex) };
    });
    return { mtu, all };
  }
}

/** By itself, or because a router has told it to. */
const isKernels = ({ family, protocol = 0, flags = 0 }: addon.InterfaceAddress): boolean =>
  (protocol > 0 && protocol <= LAST_KERNEL_PROTOCOL) ||
  (family === 'ipv6' && (flags & IPV6_TEMPORARY) !== 0);

/** What is the kernel's default is left out. */
function fabricAddress(
  found: addon.InterfaceAddress,
  ifname: string,
  gidIndex: number | undefined,
): FabricAddress {
  const { address, prefix, peer, broadcast, label, metric, validSeconds, preferredSeconds } = found;
  const isIpv4 = found.family === 'ipv4';
  const flags = (found.flags ?? 0) & CHOSEN_FLAGS;
  return {
    ...{ address, prefix },
    ...(peer !== undefined && { peer }),
    ...(broadcast !== undefined && { broadcast }),
    ...(isIpv4 && found.scope ? { scope: found.scope } : {}),
    ...(flags > 0 && { flags }),
    ...(label !== undefined && label !== ifname && { label }),
    ...(metric !== undefined && { metric }),
    ...(validSeconds !== undefined && { validSeconds }),
    ...(preferredSeconds !== undefined && { preferredSeconds }),
    ...(gidIndex !== undefined && { gidIndex }),
  };
}

/** The kernel takes no address whose time is over, and none that is preferred for longer than it is valid. */
function lasting(address: addon.PlainAddress): addon.PlainAddress {
  const { validSeconds, preferredSeconds } = address;
  if (validSeconds === undefined) return address;
  const valid = Math.max(validSeconds, 1);
  return {
    ...address,
    validSeconds: valid,
    preferredSeconds: Math.min(preferredSeconds ?? valid, valid),
  };
}

const digestOf = (interfaces: readonly FabricInterface[]): string =>
  createHash('sha256')
    .update(
      interfaces
        .map(({ name, mtu, addresses }) => `${name} ${mtu}\n${fingerprint(addresses)}`)
        .join('\n\n'),
    )
    .digest('hex')
    .slice(0, 32);
