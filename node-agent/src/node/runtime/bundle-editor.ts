// SPDX-License-Identifier: Apache-2.0
// Edits the bundle of every container of a Sealift pod before runc reads it. The create handler calls it for a container
// that starts, the restorer for one that is restored.
import type { Host } from '../host/host.ts';
import type { RdmaDriver, UverbsDevice } from '../device/driver.ts';
import {
  coverEnvironment,
  DEVICE_DIR,
  networkNamespace,
  readSpec,
  withUverbs,
  writeSpec,
} from './bundle.ts';
import { openableNetns } from './containers.ts';

export class BundleEditor {
  readonly #host: Host;
  readonly #driver: RdmaDriver;

  constructor(host: Host, driver: RdmaDriver) {
    this.#host = host;
    this.#driver = driver;
  }

  /**
   * Path of the network namespace that the bundle's container joins, as the agent can open it; undefined for the host's.
   * @param bundle directory on the host
   * @throws AgentError BadBundle
   */
  async netns(bundle: string): Promise<string | undefined> {
    const path = networkNamespace(await readSpec(this.#host.path(bundle)));
    return path ? openableNetns(this.#host, path) : undefined;
  }

  /** For the CRIU plugin: what the bundle masks or makes read-only. @param bundle directory on the host. @throws AgentError BadBundle */
  async coverEnvironment(bundle: string): Promise<Record<string, string>> {
    return coverEnvironment(await readSpec(this.#host.path(bundle)));
  }

  /**
   * Adds the uverbs node of the pod's RDMA device to the container.
   * @param bundle directory on the host
   * @param inContainer path of the node in the checkpointed container; without it the node's own path
   * @returns the device; undefined for a pod without one, whose bundle stays as it is
   * @throws AgentError BadBundle
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
