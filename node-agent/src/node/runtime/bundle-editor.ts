// SPDX-License-Identifier: Apache-2.0
// Edits the bundle of every container of a Sealift pod before runc reads it. The create handler calls it for a container
// that starts, the restorer for one that is restored.
import { readFile } from 'node:fs/promises';
import { annotations } from '../../../../crds/src/index.ts';
import type { Host } from '../host/host.ts';
import type { CharDevice, RdmaDriver, UverbsDevice } from '../device/driver.ts';
import { AgentError, unlessErrno } from '../../support/errors.ts';
import {
  coverEnvironment,
  DEVICE_DIR,
  networkNamespace,
  RDMA_CM,
  readSpec,
  wantsRdmaCm,
  withDevice,
  type OciSpec,
  writeSpec,
} from './bundle.ts';
import { openableNetns } from './containers.ts';

/** Devices of a checkpointed container. */
export interface RestoredDevices {
  /** Path of its uverbs node. */
  uverbs?: string | undefined;
  rdmaCm?: boolean | undefined;
}

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
    return this.#netnsOf(await readSpec(this.#host.path(bundle)));
  }

  #netnsOf(spec: OciSpec): string | undefined {
    const path = networkNamespace(spec);
    return path ? openableNetns(this.#host, path) : undefined;
  }

  /** For the CRIU plugin: what the bundle masks or makes read-only. @param bundle directory on the host. @throws AgentError BadBundle */
  async coverEnvironment(bundle: string): Promise<Record<string, string>> {
    return coverEnvironment(await readSpec(this.#host.path(bundle)));
  }

  /**
   * Adds the devices of a pod with RDMA to the container: the uverbs node, and the RDMA connection manager's for who asks for it.
   * @param bundle directory on the host
   * @param restored what the checkpointed container had; without it the bundle's own annotations say what it gets, and the
   * uverbs node has its own path
   * @returns the uverbs device; undefined for a pod without one, whose bundle stays as it is
   * @throws AgentError BadBundle, BadAnnotation, DriverMissing
   */
  async addDevices(
    bundle: string,
    netns: string,
    restored?: RestoredDevices,
  ): Promise<UverbsDevice | undefined> {
    const device = await this.#driver.uverbs(netns);
    if (!device) return undefined;
    const spec = await readSpec(this.#host.path(bundle));
    const cm = (restored ? restored.rdmaCm === true : wantsRdmaCm(spec))
      ? await rdmaCm(this.#host)
      : undefined;
    const uverbs = { ...device, hostPath: await this.#driver.makeNode(device, DEVICE_DIR) };
    let edited = withDevice(spec, uverbs, restored?.uverbs ?? device.hostPath);
    if (cm) {
      const node = { ...cm, hostPath: await this.#driver.makeNode(cm, DEVICE_DIR) };
      edited = withDevice(edited, node, RDMA_CM);
    }
    await writeSpec(this.#host.path(bundle), edited);
    return device;
  }

  /**
   * Says of a container that will be restored what `addDevices` would say of it in the pause. The images, which are not here
   * yet, say what it gets; the annotation says the same, unless somebody has changed it since the container was made.
   * @param bundle directory on the host
   * @throws AgentError BadBundle, DriverMissing
   */
  async checkDevices(bundle: string): Promise<void> {
    const spec = await readSpec(this.#host.path(bundle));
    if (spec.annotations[annotations.rdmaCm] !== 'true') return;
    const netns = this.#netnsOf(spec);
    if (netns !== undefined && (await this.#driver.uverbs(netns))) await rdmaCm(this.#host);
  }
}

/** The device of the RDMA connection manager. @throws AgentError DriverMissing */
async function rdmaCm(host: Pick<Host, 'path'>): Promise<CharDevice> {
  const file = host.path('/sys/class/misc/rdma_cm/dev');
  const text = await unlessErrno(readFile(file, 'utf8'), 'ENOENT');
  const [, major, minor] = /^(\d+):(\d+)$/.exec(text?.trim() ?? '') ?? [];
  if (major !== undefined && minor !== undefined) {
    return { name: 'rdma_cm', major: Number(major), minor: Number(minor) };
  }
  throw new AgentError(
    'DriverMissing',
    `The pod has the annotation ${annotations.rdmaCm}, and this node has no RDMA connection manager. Load the kernel's module rdma_ucm there.`,
  );
}
