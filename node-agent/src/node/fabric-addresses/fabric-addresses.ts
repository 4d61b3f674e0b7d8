// SPDX-License-Identifier: Apache-2.0
// A moved pod has its addresses in the RDMA network on another node than the one whose IPAM gave them. Until no pod has
// them any more they stay reserved there, whenever the source is deleted: host-local neither releases nor gives away a
// record whose id is no sandbox's (docs/adr/0026).
import { containerBundles } from '../runtime/containers.ts';
import type { Host } from '../host/host.ts';
import type { AddressRecords } from '../pod-ip/address-records.ts';
import { ipamStores } from './ipam-stores.ts';

export class FabricAddresses {
  readonly #host: Host;

  constructor(host: Host) {
    this.#host = host;
  }

  /** Of these addresses, those that this node's IPAM has given to the sandbox. */
  async givenTo(sandboxId: string, addresses: readonly string[]): Promise<string[]> {
    const given = await this.#given(sandboxId, addresses);
    return [...new Set(given.map(({ address }) => address))];
  }

  /** Before a pod may move away: whoever deletes it, these addresses of its sandbox are given to nobody. May be repeated. */
  async reserve(sandboxId: string, addresses: readonly string[]): Promise<void> {
    for (const { records, address } of await this.#given(sandboxId, addresses))
      await records.reserve(address);
  }

  async #given(
    sandboxId: string,
    addresses: readonly string[],
  ): Promise<{ records: AddressRecords; address: string }[]> {
    const found: { records: AddressRecords; address: string }[] = [];
    if (addresses.length === 0) return found;
    for (const { records } of await ipamStores(this.#host)) {
      for (const { address, sandboxId: of } of await records.list()) {
        if (of === sandboxId && addresses.includes(address)) found.push({ records, address });
      }
    }
    return found;
  }

  /**
   * Reserves addresses that this node's IPAM could give to another pod: it was restored elsewhere from a checkpoint, or the
   * records did not outlive a boot.
   * @returns those that a pod of this node has
   */
  async reserveMissing(addresses: readonly string[]): Promise<string[]> {
    const taken: string[] = [];
    if (addresses.length === 0) return taken;
    for (const { records, gives } of await ipamStores(this.#host)) {
      for (const address of addresses) {
        if (gives(address) && !(await records.reserveFree(address))) taken.push(address);
      }
    }
    return taken;
  }

  /**
   * Ends the reservations of addresses that no pod has any more. A source whose move was undone has its address again.
   * @param isKept whether a pod has the address, or is about to
   */
  async release(isKept: (address: string) => boolean): Promise<void> {
    let sandboxes: Set<string> | undefined;
    for (const { records } of await ipamStores(this.#host)) {
      for (const one of await records.list()) {
        if (!one.isReserved || isKept(one.address)) continue;
        sandboxes ??= new Set(await containerBundles(this.#host));
        await records.release(one, sandboxes.has(one.sandboxId));
      }
    }
  }
}
