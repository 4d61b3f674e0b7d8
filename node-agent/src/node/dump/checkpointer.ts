// SPDX-License-Identifier: Apache-2.0
// The effects on a pod that runs on this node: lock, hold, freeze, dump, and their undoing. Shared by migration
// and checkpoint. Each is idempotent and passes two fault points; steps are named as in spec/handover.pml.
import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Identity, ObjectCounts } from '../../../../crds/src/index.ts';
import { withFaults } from '../../../../kube/src/index.ts';
import { AgentError } from '../../support/errors.ts';
import { isGone, type NetworkLock } from '../lock/network-lock.ts';
import { packPodFiles } from '../files/pod-files.ts';
import type { Host } from '../host/host.ts';
import { readVerbs } from './verbs-image.ts';
import type { RdmaDriver } from '../device/driver.ts';
import { uverbsPath } from '../runtime/bundle.ts';
import { Cgroup } from '../runtime/cgroup.ts';
import { podContainers, type Container } from '../runtime/containers.ts';
import type { Runc } from '../runtime/runc.ts';
import { checkComplete, checkIpc } from './preconditions.ts';
import type { ManifestHeader } from '../transfer/manifest.ts';
import type { ImageStore } from '../transfer/image-store.ts';

export interface CheckpointerParts {
  host: Host;
  runc: Runc;
  lock: NetworkLock;
  driver: RdmaDriver;
  store: ImageStore;
  /** Folder for CRIU's logs, on the host and here. */
  workRoot: string;
  socketPath: string;
  version: string;
}

export type CgroupControl = Pick<Cgroup, 'freeze' | 'thaw' | 'endTcpRepair' | 'kill'>;

/** A pod as it runs here. */
export interface LocalPod {
  podUid: string;
  netns: string;
  containers: Container[];
}

/** A pod that was locked, of which nothing else may be left than its sandbox. */
export interface LockedPod {
  podUid: string;
  netns?: string | undefined;
}

export interface DumpResult {
  header: ManifestHeader;
  identity: Identity;
  objects: ObjectCounts;
  bytes: { pages: number; verbs: number; rootfs: number };
}

export class Checkpointer {
  readonly #parts: CheckpointerParts;

  constructor(parts: CheckpointerParts) {
    this.#parts = parts;
  }

  /** @throws AgentError PodNotFound */
  async findPod(podUid: string): Promise<LocalPod> {
    const containers = await this.containers(podUid);
    const [first] = containers;
    if (!first) {
      throw new AgentError(
        'PodNotFound',
        `no running container of pod ${podUid} on this node: is the pod Running?`,
      );
    }
    return { podUid, netns: first.netns, containers };
  }

  /** Ids of the pod's containers that run here, however many and whatever they are. */
  async runningContainerIds(podUid: string): Promise<string[]> {
    return (await this.containers(podUid)).map(({ id }) => id);
  }

  /**
   * The pod, if nothing is known that would make its dump or its restore fail.
   * @param names of the containers that it has to have, and no others
   * @throws AgentError ContainerNotRunning, UnsupportedObject, ...
   */
  async inspectPod(podUid: string, names: readonly string[]): Promise<LocalPod> {
    const pod = await this.findPod(podUid);
    checkComplete(pod.containers, names);
    await this.#parts.driver.checkSupported(pod.netns);
    await this.checkIpc(pod.containers);
    return pod;
  }

  /** Nothing but RoCE, ARP and neighbour discovery gets in or out. */
  async lockNetwork(pod: LocalPod): Promise<void> {
    await withFaults('source.lock', () => this.#parts.lock.lock(pod.netns, 'roce'));
  }

  async holdDevice(pod: LocalPod, rnrTimer: number): Promise<void> {
    await withFaults('source.hold', () => this.#parts.driver.hold(pod.netns, rnrTimer));
  }

  async freezeTasks(pod: LocalPod): Promise<void> {
    await withFaults('source.freeze', async () => {
      await this.endFormerDumps(pod.containers);
      await this.#each(pod.containers, (cgroup) => cgroup.freeze());
    });
  }

  /**
   * Dumps a frozen pod into the store under `id`; it stays frozen.
   * @param signal when nobody needs the images any more; CRIU itself is interrupted only for a DeadlineError, because
   * it has its code in the tasks.
   */
  async dumpContainers(pod: LocalPod, id: string, signal?: AbortSignal): Promise<DumpResult> {
    return withFaults('source.dump', () => this.writeImages(pod, id, signal));
  }

  /**
   * Undoes freeze, lock and hold, also of a pod whose container has ended meanwhile or that has got another one
   * (`kubectl debug`). The network comes before the tasks: data that arrives early waits in the kernel; and after their
   * sockets, which have to be fit for it.
   */
  async resumePod(of: LockedPod): Promise<void> {
    const containers = await this.containers(of.podUid);
    await this.endFormerDumps(containers);
    const known = containers.filter(({ cgroup }) => cgroup !== undefined);
    await this.#each(known, (cgroup) => cgroup.endTcpRepair());
    const netns = containers[0]?.netns ?? lasting(of.netns);
    if (netns !== undefined) {
      await withFaults('source.unlock', () => this.#parts.lock.unlock(netns));
    }
    await withFaults('source.thaw', () => this.#each(containers, (cgroup) => cgroup.thaw()));
    if (netns !== undefined) await withFaults('source.resume', () => this.#resume(netns));
  }

  /** After Committed: nothing of the pod is heard of any more, and its tasks die frozen. */
  async stopPod(of: LockedPod): Promise<void> {
    const containers = await this.containers(of.podUid);
    const netns = containers[0]?.netns ?? lasting(of.netns);
    if (netns !== undefined) await this.silenceNetwork(netns);
    await withFaults('source.kill', () => this.#each(containers, (cgroup) => cgroup.kill()));
  }

  /**
   * Nothing in this network namespace says anything any more, not even ARP, and it takes no frames that peers on
   * this node send to the new pod. Lasts until the pod is deleted.
   */
  async silenceNetwork(netns: string): Promise<void> {
    const { lock, driver } = this.#parts;
    try {
      await withFaults('source.silence', () => lock.lock(netns, 'total'));
    } catch (error) {
      // Nothing is as silent as a namespace that is gone.
      if (isGone(error)) return;
      throw error;
    }
    await withFaults('source.hide', async () => driver.hide(netns, await driver.interfaces(netns)));
  }

  /** What peers know the pod by. */
  async identity(pod: LocalPod): Promise<Identity> {
    return this.#parts.driver.identity(pod.netns);
  }

  async #resume(netns: string): Promise<void> {
    try {
      await this.#parts.driver.resume(netns);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

  async #each(
    containers: readonly Container[],
    work: (cgroup: CgroupControl) => Promise<void>,
  ): Promise<void> {
    for (const container of containers) {
      if (container.cgroup === undefined) {
        throw new AgentError('RuntimeFailed', `container ${container.name} has no cgroup v2`);
      }
      await work(this.cgroup(this.#parts.host.path(container.cgroup)));
    }
  }

  /** No dump of an agent that ran before this one is at work any more. */
  protected async endFormerDumps(containers: readonly Container[]): Promise<void> {
    for (const container of containers) {
      if (await this.#parts.runc.endFormerDump(container.id)) continue;
      await this.#each([container], (cgroup) => cgroup.freeze());
    }
  }

  protected checkIpc(containers: readonly Container[]): Promise<void> {
    return checkIpc(containers);
  }

  protected containers(podUid: string): Promise<Container[]> {
    return podContainers(this.#parts.host, podUid);
  }

  protected cgroup(dir: string): CgroupControl {
    return new Cgroup(dir);
  }

  protected async writeImages(
    pod: LocalPod,
    id: string,
    signal?: AbortSignal,
  ): Promise<DumpResult> {
    const { host, runc, store, driver } = this.#parts;
    const bytes = { pages: 0, verbs: 0, rootfs: 0 };
    const objects = { qp: 0, cq: 0, mr: 0 };
    const containers: ManifestHeader['containers'] = [];
    await this.endFormerDumps(pod.containers);
    // Nothing in the held device changes any more: what is read now is what the target must show.
    const identity = await driver.identity(pod.netns);
    for (const container of pod.containers) {
      stopIf(signal);
      const imagePath = await store.createFolder(id, container.name);
      const workPath = join(this.#parts.workRoot, id, container.name);
      await mkdir(host.path(workPath), { recursive: true, mode: 0o700 });
      const env = { SEALIFT_SOCKET: this.#parts.socketPath };
      try {
        await runc.checkpoint(container, { imagePath, workPath, env, signal });
      } catch (error) {
        // A guard that was killed with CRIU has not done so.
        await this.#each([container], (cgroup) => cgroup.freeze());
        throw error;
      }
      const verbs = await readVerbs(host.path(imagePath));
      bytes.pages += await pagesBytes(host.path(imagePath));
      bytes.verbs += verbs.bytes;
      objects.qp += verbs.objects.qp;
      objects.cq += verbs.objects.cq;
      objects.mr += verbs.objects.mr;
      // The node is mounted, and must be found under its name, whether or not it is open.
      const uverbs = verbs.uverbs ?? uverbsPath(container.spec);
      containers.push({ name: container.name, ...(uverbs === undefined ? {} : { uverbs }) });
    }
    const files = await packPodFiles(host, {
      podUid: pod.podUid,
      containers: pod.containers,
      dir: store.dir(id),
      signal,
    });
    bytes.rootfs = files.bytes;
    const header: ManifestHeader = {
      version: 1,
      id,
      createdAt: new Date().toISOString(),
      ...(await this.#versionsOf(pod)),
      containers,
      volumes: files.volumes,
      identity: {
        qpns: identity.qpns ?? [],
        lkeys: identity.lkeys ?? [],
        rkeys: identity.rkeys ?? [],
        gids: identity.gids ?? [],
        ips: identity.ips ?? [],
        macs: identity.macs ?? [],
      },
      bytes,
      objects,
    };
    return { header, identity, objects, bytes };
  }

  async #versionsOf(pod: LocalPod): Promise<Pick<ManifestHeader, 'versions' | 'rdmaDevice'>> {
    const { driver, version } = this.#parts;
    const [device] = await driver.devices(pod.netns);
    const versions = { sealift: version, kernel: driver.kernelRelease() };
    if (!device) return { versions };
    const driverAbi = await driver.abi(pod.netns, device.name);
    return { versions: { ...versions, driverAbi }, rdmaDevice: device.name };
  }
}

/** A sandbox's namespace by its own name; a task's number may be another's by now. */
function lasting(netns: string | undefined): string | undefined {
  return netns !== undefined && /^\/proc\/\d+\/ns\//.test(netns) ? undefined : netns;
}

function stopIf(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AgentError('Aborted', 'nobody needs these images any more');
}

async function pagesBytes(dir: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(dir)) {
    if (/^pages-\d+\.img$/.test(name)) bytes += (await stat(join(dir, name))).size;
  }
  return bytes;
}
