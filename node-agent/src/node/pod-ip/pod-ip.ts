// SPDX-License-Identifier: Apache-2.0
// All that this node does so that a moved pod keeps its address in the cluster's network (docs/adr/0023): its sandbox gets
// it, the node it came from reserves it, and every node routes it.
import { announce, hostEnd } from '../../../../native/addon/index.ts';
import { AgentError } from '../../support/errors.ts';
import type { Host } from '../host/host.ts';
import { containerBundles, podContainers } from '../runtime/containers.ts';
import { AddressRecords } from './address-records.ts';
import { blockListOf } from './address-ranges.ts';
import { readClusterNetwork } from './cluster-network.ts';
import { keepingNetwork, type KeepingNetwork } from './drivers.ts';
import { NodeRoutes, type KeptRoute } from './node-routes.ts';
import { placeAddresses, type AddResult, type Placement } from './sandbox-address.ts';

/** The runtimes' name for a pod's interface in the cluster's network. */
const CLUSTER_INTERFACE = 'eth0';
const ANNOUNCEMENTS = 3;

/** A pod of this node with an address that it has kept. */
export interface KeptPod {
  readonly podUid: string;
  readonly addresses: readonly string[];
}

/** Addresses that are to be reached: of pods here, and of pods on other nodes. */
export interface KeptAddresses {
  readonly here: readonly KeptPod[];
  readonly elsewhere: readonly { readonly address: string; readonly via: string }[];
}

export interface PodIpParts {
  host: Host;
  /** Path of the node's network namespace. */
  netns?: string;
}

export class PodIp {
  readonly #host: Host;
  readonly #netns: string;

  constructor({ host, netns = '/proc/self/ns/net' }: PodIpParts) {
    this.#host = host;
    this.#netns = netns;
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

  /** Gives a new sandbox the addresses. @throws AgentError BadRequest; NativeError */
  place(of: Placement): Promise<AddResult> {
    return placeAddresses(of);
  }

  /** Before a pod may move away: its addresses are not given to others of this node, whenever it is deleted. */
  async reserve(addresses: readonly string[]): Promise<void> {
    const records = await this.#records();
    for (const address of addresses) await records?.reserve(address);
  }

  /**
   * Reserves addresses of this node's own range that have no record: the agent was away when their pod was deleted here, or
   * the records did not outlive a boot.
   * @returns those that a pod of this node has got meanwhile
   */
  async reserveMissing(addresses: readonly string[]): Promise<string[]> {
    const found = await this.look();
    if (typeof found === 'string' || addresses.length === 0) return [];
    const own = blockListOf(found.subnets);
    const records = new AddressRecords(this.#host.path(found.recordsDir));
    const taken: string[] = [];
    for (const address of addresses) {
      const family = address.includes(':') ? 'ipv6' : 'ipv4';
      if (!own.check(address, family)) continue;
      if (!(await records.reserveFree(address))) taken.push(address);
    }
    return taken;
  }

  /**
   * Ends the reservations of addresses that no pod has any more.
   * @param isKept whether a pod has the address, or is about to
   */
  async release(isKept: (address: string) => boolean): Promise<void> {
    const records = await this.#records();
    const reserved = ((await records?.list()) ?? []).filter((one) => one.isReserved);
    if (reserved.length === 0) return;
    const sandboxes = new Set(await containerBundles(this.#host));
    for (const one of reserved) {
      if (!isKept(one.address)) await records?.release(one, sandboxes.has(one.sandboxId));
    }
  }

  /**
   * Makes the node's routes to kept addresses these and no others, and tells neighbours of those that are new.
   * @throws NativeError
   */
  async route({ here, elsewhere }: KeptAddresses): Promise<void> {
    const found = await this.look();
    if (typeof found === 'string') {
      await this.#routes(undefined).apply(elsewhere);
      return;
    }
    const { driver, network } = found;
    const wanted: KeptRoute[] = [...elsewhere];
    const netnsOf = new Map<string, string>();
    for (const { podUid, addresses } of here) {
      const [container] = await podContainers(this.#host, podUid);
      if (!container) continue;
      const { netns } = container;
      const end = await hostEnd({ netns, ifname: CLUSTER_INTERFACE, hostNetns: this.#netns });
      for (const address of addresses) {
        wanted.push({ address, ifname: driver.nodeInterface(end) });
        netnsOf.set(address, netns);
      }
    }
    const changed = await this.#routes(driver.sharedLink(network.plugins[0])).apply(wanted);
    for (const address of changed) {
      const netns = netnsOf.get(address);
      if (netns === undefined) continue;
      await announce({ netns, ifname: CLUSTER_INTERFACE, count: ANNOUNCEMENTS, address });
    }
  }

  #routes(sharedLink: string | undefined): NodeRoutes {
    return new NodeRoutes({ netns: this.#netns, sharedLink });
  }

  async #records(): Promise<AddressRecords | undefined> {
    const found = await this.look();
    if (typeof found === 'string') return undefined;
    return new AddressRecords(this.#host.path(found.recordsDir));
  }
}
