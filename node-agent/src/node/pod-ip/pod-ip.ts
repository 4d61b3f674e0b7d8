// SPDX-License-Identifier: Apache-2.0
// All that this node does so that a moved pod keeps its address in the cluster's network (docs/adr/0023): its sandbox gets
// it, the node it came from reserves it, and every node routes it.
import { KeyedMutex } from '../../../../kube/src/index.ts';
import { announce, hostEnd } from '../../../../native/addon/index.ts';
import { AgentError } from '../../support/errors.ts';
import { exists } from '../../support/exists.ts';
import { DiskDirectory } from '../../support/journal/journal-directory.ts';
import type { Host } from '../host/host.ts';
import { containerBundles, sandboxNetns } from '../runtime/containers.ts';
import { AddressFailures, type AddressFailure } from './address-failures.ts';
import { AddressRecords, type AddressRecord } from './address-records.ts';
import { blockListOf } from './address-ranges.ts';
import { readClusterNetwork } from './cluster-network.ts';
import { keepingNetwork, type KeepingNetwork } from './drivers.ts';
import { NodeRoutes, type KeptRoute, type Routed } from './node-routes.ts';
import { PlacedSandboxes } from './placed-sandboxes.ts';
import { familyOf } from './prefix.ts';
import { placeAddresses, type AddResult, type Placement } from './sandbox-address.ts';

/** The runtimes' name for a pod's interface in the cluster's network. */
const CLUSTER_INTERFACE = 'eth0';
/** On the host: which sandboxes have got kept addresses. */
const PLACED_DIR = '/var/lib/sealift/pod-ip';

/** A pod of this node with an address that it has kept. */
export interface KeptPod {
  readonly podUid: string;
  readonly addresses: readonly string[];
}

/** Addresses that are to be reached: of pods here, and of pods on other nodes. */
export interface KeptAddresses {
  readonly here: readonly KeptPod[];
  readonly elsewhere: readonly { readonly address: string; readonly via: string }[];
  /** Addresses of which nobody can tell now where they are: what there is for them stays. */
  readonly unknown: readonly string[];
}

export interface PodIpParts {
  host: Host;
  /** Path of the node's network namespace. */
  netns?: string;
}

export class PodIp {
  readonly #host: Host;
  readonly #netns: string;
  readonly #placed: PlacedSandboxes;
  readonly #listeners: (() => void)[] = [];
  /** By address: a reservation must not begin while it is being looked whether the one before it has to end. */
  readonly #mutex = new KeyedMutex();

  constructor({ host, netns = '/proc/self/ns/net' }: PodIpParts) {
    this.#host = host;
    this.#netns = netns;
    this.#placed = new PlacedSandboxes(new DiskDirectory(host.path(PLACED_DIR)));
  }

  /** Calls the listener whenever a sandbox has got its addresses, so that they can be routed to it. */
  listen(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** The node's network, or a sentence why pods cannot keep their addresses in it. */
  async look(): Promise<KeepingNetwork | string> {
    const network = await readClusterNetwork(this.#host);
    if (network) return keepingNetwork(network);
    return 'The first CNI configuration of the node is not that of Multus, or names no network of the cluster.';
  }

  /** @throws AgentError PodNetworkUnsupported */
  async network(): Promise<KeepingNetwork> {
    const found = await this.look();
    if (typeof found !== 'string') return found;
    throw new AgentError(
      'PodNetworkUnsupported',
      `No pod can keep its address on this node: ${found} Move the pod to another node.`,
    );
  }

  /** Gives a pod's new sandbox the addresses. @throws AgentError BadRequest; NativeError */
  async place({ podUid, ...of }: Placement & { readonly podUid: string }): Promise<AddResult> {
    const result = await placeAddresses(of);
    await this.#placed.put(podUid, { netns: of.netns, addresses: [...of.addresses] });
    for (const listener of this.#listeners) listener();
    return result;
  }

  /** The addresses that the pod's former sandbox on this node has got; undefined: there was none. */
  async placedAddresses(podUid: string): Promise<readonly string[] | undefined> {
    return (await this.#placed.get(podUid))?.addresses;
  }

  /** Forgets sandboxes that are gone, of pods that are gone. */
  prune(isThere: (podUid: string) => boolean): Promise<void> {
    return this.#placed.prune(isThere);
  }

  /**
   * Before a pod may move away: its addresses are not given to others of this node, whenever it is deleted.
   * @throws AgentError PodNetworkUnsupported: nobody could keep them from being given away
   */
  async reserve(addresses: readonly string[]): Promise<void> {
    if (addresses.length === 0) return;
    const found = await this.network();
    const records = this.#recordsOf(found);
    for (const address of addresses) {
      await this.#mutex.run(address, async () => {
        const isReserved = await records.reserve(address);
        // The record may be lost, or the address another node's.
        if (!isReserved && isOwn(found, address)) await records.reserveFree(address);
      });
    }
  }

  /**
   * Reserves addresses of this node's own range that have no record: the agent was away when their pod was deleted here, or
   * the records did not outlive a boot.
   * @returns those for which it failed, with AddressInUse if a pod of this node has got the address meanwhile
   */
  async reserveMissing(addresses: readonly string[]): Promise<readonly AddressFailure[]> {
    const found = await this.look();
    if (typeof found === 'string' || addresses.length === 0) return [];
    const records = this.#recordsOf(found);
    const failures = new AddressFailures();
    for (const address of addresses) {
      if (!isOwn(found, address)) continue;
      await failures.attempt([address], async () => {
        if (await this.#mutex.run(address, () => records.reserveFree(address))) return;
        throw new AgentError(
          'AddressInUse',
          `Two pods have the address ${address}: one of this node, and one that was moved to another node. Delete one of them.`,
        );
      });
    }
    return failures.list;
  }

  /**
   * Ends the reservations of addresses that no pod has any more.
   * @param isKept whether a pod has the address, or is about to
   * @returns those for which it failed
   */
  async release(
    isKept: (address: string) => boolean | Promise<boolean>,
  ): Promise<readonly AddressFailure[]> {
    const found = await this.look();
    if (typeof found === 'string') return [];
    const records = this.#recordsOf(found);
    const reserved = (await records.list()).filter((one) => one.isReserved);
    const failures = new AddressFailures();
    for (const one of reserved) {
      await failures.attempt([one.address], () =>
        this.#mutex.run(one.address, async () => {
          if (!(await isKept(one.address))) await this.#release(records, one);
        }),
      );
    }
    return failures.list;
  }

  async #release(records: AddressRecords, one: AddressRecord): Promise<void> {
    const sandboxes = await containerBundles(this.#host);
    await records.release(one, sandboxes.includes(one.sandboxId));
  }

  /**
   * Makes the node's routes to kept addresses these and no others, and tells neighbours of those that are new.
   * @throws NativeError
   */
  async route({ here, elsewhere, unknown }: KeptAddresses): Promise<Routed> {
    const found = await this.look();
    const wanted: KeptRoute[] = [...elsewhere];
    const netnsOf = new Map<string, string>();
    const failures = new AddressFailures();
    const waiting: string[] = [];
    for (const { podUid, addresses } of here) {
      await failures.attempt(addresses, async () => {
        const { driver } = typeof found === 'string' ? await this.network() : found;
        const netns = await this.#netnsOf(podUid);
        if (netns === undefined) {
          waiting.push(...addresses);
          return;
        }
        const end = await hostEnd({ netns, ifname: CLUSTER_INTERFACE, hostNetns: this.#netns });
        for (const address of addresses) {
          wanted.push({ address, ifname: driver.nodeInterface(end) });
          netnsOf.set(address, netns);
        }
      });
    }
    const link =
      typeof found === 'string' ? undefined : found.driver.sharedLink(found.network.plugins[0]);
    const untold = [...unknown, ...waiting, ...failures.list.map(({ address }) => address)];
    const routed = await this.#routes(link).apply(wanted, untold);
    for (const address of routed.changed) {
      const netns = netnsOf.get(address);
      if (netns === undefined) continue;
      await failures.attempt([address], () =>
        announce({ netns, ifname: CLUSTER_INTERFACE, address }),
      );
    }
    return {
      changed: routed.changed,
      failed: [...failures.list, ...routed.failed],
      waiting: [...waiting, ...routed.waiting],
    };
  }

  /** Takes all of it off the node again: routes, their rule, answers, reservations. No pod may have a kept address any more. */
  async clear(): Promise<void> {
    const { failed } = await this.route({ here: [], elsewhere: [], unknown: [] });
    const left = [...failed, ...(await this.release(() => false))];
    const [first] = left;
    if (!first) return;
    throw new AgentError(
      'AddressesLeft',
      `The node cannot let go of ${left.length} addresses of moved pods, of ${first.address}: ${first.message}`,
    );
  }

  /** Where the pod is. The sandbox that was made last is known before containerd has it. */
  async #netnsOf(podUid: string): Promise<string | undefined> {
    const placed = await this.#placed.get(podUid);
    // A process may have the PID of an earlier one.
    const isByProcess = /^\/proc\/\d+\/ns\//.test(placed?.netns ?? '');
    if (placed && !isByProcess && (await exists(placed.netns))) return placed.netns;
    return sandboxNetns(this.#host, podUid);
  }

  #routes(sharedLink: string | undefined): NodeRoutes {
    return new NodeRoutes({ netns: this.#netns, sharedLink });
  }

  #recordsOf({ recordsDir }: KeepingNetwork): AddressRecords {
    return new AddressRecords(this.#host.path(recordsDir));
  }
}

/** Whether this node's IPAM gives the address to pods. */
const isOwn = ({ subnets }: KeepingNetwork, address: string): boolean =>
  blockListOf(subnets).check(address, familyOf(address) === 6 ? 'ipv6' : 'ipv4');
