// SPDX-License-Identifier: Apache-2.0
// Edits the bundle of every container of a Sealift pod before runc reads it.
import type { Host } from '../host/host.ts';
import type { RdmaDriver, UverbsDevice } from '../rdma-device/driver.ts';
import { readSpec, withCriuConfig, withUverbs, writeSpec } from './bundle.ts';

/** Written at install; read by CRIU whenever runc starts it for such a container. */
export const CRIU_CONFIG = '/opt/sealift/etc/criu.conf';

export class BundleEditor {
  readonly #host: Host;
  readonly #driver: RdmaDriver;

  constructor(host: Host, driver: RdmaDriver) {
    this.#host = host;
    this.#driver = driver;
  }

  /**
   * Gives the container its pod's uverbs node, under the name that it has always had or else under the node's
   * own; a pod without an RDMA device gets none.
   * @param bundle directory on the host
   * @param inContainer the path that a restored process had opened
   */
  async edit(
    bundle: string,
    netns: string,
    inContainer?: string,
  ): Promise<UverbsDevice | undefined> {
    const device = await this.#driver.uverbs(netns);
    const before = withCriuConfig(await readSpec(this.#host.path(bundle)), CRIU_CONFIG);
    const after = device ? withUverbs(before, device, inContainer ?? device.hostPath) : before;
    await writeSpec(this.#host.path(bundle), after);
    return device;
  }
}
