// SPDX-License-Identifier: Apache-2.0
// Edits the bundle of every container of a Sealift pod before runc reads it.
import type { Host } from '../host/host.ts';
import type { RdmaDriver, UverbsDevice } from '../device/driver.ts';
import { DEVICE_DIR, networkNamespace, readSpec, withUverbs, writeSpec } from './bundle.ts';
import { openableNetns } from './containers.ts';

export class BundleEditor {
  readonly #host: Host;
  readonly #driver: RdmaDriver;

  constructor(host: Host, driver: RdmaDriver) {
    this.#host = host;
    this.#driver = driver;
  }

  /** The network namespace that the bundle's container joins, as the agent can open it; undefined: the host's own. */
  async netns(bundle: string): Promise<string | undefined> {
    const path = networkNamespace(await readSpec(this.#host.path(bundle)));
    return path ? openableNetns(this.#host, path) : undefined;
  }

  /**
   * Gives the container its pod's uverbs node, under the name that it has always had or else under the node's
   * own; a pod without an RDMA device gets none.
   * @param bundle directory on the host
   * @param inContainer the path that a restored process had opened
   */
  async addUverbs(
    bundle: string,
    netns: string,
    inContainer?: string,
  ): Promise<UverbsDevice | undefined> {
    const device = await this.#driver.uverbs(netns);
    if (!device) return undefined;
    const spec = await readSpec(this.#host.path(bundle));
    const path = inContainer ?? device.hostPath;
    const node = { ...device, hostPath: await this.#driver.makeNode(device, DEVICE_DIR) };
    await writeSpec(this.#host.path(bundle), withUverbs(spec, node, path));
    return device;
  }
}
