// SPDX-License-Identifier: Apache-2.0
// What the agent does to a pod that runs on this node: lock its network, hold its device, freeze its tasks, dump its
// containers, and undo all of that or stop the pod. The reconcilers of source and checkpoint and the orphan sweep call
// it. Every method may be repeated and passes two fault points (docs/faults.md). The order: spec/handover.pml.
import type {
  Fabric,
  GidEntry,
  Identity,
  PodIPConnections,
  PodMemory,
} from '../../../../crds/src/index.ts';
import { withFaults } from '../../../../kube/src/index.ts';
import { AgentError, reasonOf, type Failure } from '../../support/errors.ts';
import type { HoldAnswer } from '../../support/peers.ts';
import { isGone } from '../lock/network-lock.ts';
import { dumpPod, type DumpResult } from './pod-dump.ts';
import { keptNaks, type KeptNaks } from '../device/kept-naks.ts';
import type { LimitedQueuePair } from '../device/retry-budget.ts';
import { Cgroup, ContainerEnded } from '../runtime/cgroup.ts';
import { podFilesSize } from '../files/pod-files.ts';
import {
  lastingNetns,
  podContainers,
  sandboxNetns,
  type Container,
} from '../runtime/containers.ts';
import { lastingMemoryOf } from '../runtime/lasting-memory.ts';
import { podMemory } from '../runtime/pod-memory.ts';
import type { LostOfFrozen } from './cluster-sockets.ts';
import { checkComplete, checkIpc } from './preconditions.ts';
import type { CheckpointerParts } from './checkpointer-parts.ts';
import { resetPeers, silence } from './silence.ts';

export type { CheckpointerParts };

/** What the checkpointer does to the tasks of a container. */
export type CgroupControl = Pick<Cgroup, 'freeze' | 'thaw' | 'endTcpRepair' | 'kill'>;

/** A pod with running containers on this node. */
export interface LocalPod {
  podUid: string;
  /** Path of its network namespace, as the agent can open it. */
  netns: string;
  /** At least one, in the order of their names. */
  containers: Container[];
}

/** A pod whose network was locked. Its containers may have ended meanwhile: then only its sandbox is left. */
export interface LockedPod {
  podUid: string;
  /** The namespace that was locked, from the journal. */
  netns?: string | undefined;
  /** Cluster addresses whose TCP connections end with a move, from the journal. */
  resets?: readonly string[] | undefined;
}

export class Checkpointer {
  readonly #parts: CheckpointerParts;

  constructor(parts: CheckpointerParts) {
    this.#parts = parts;
  }

  /** The pod and its running containers. @throws AgentError PodNotFound */
  async findPod(podUid: string): Promise<LocalPod> {
    const containers = await this.containers(podUid);
    const [first] = containers;
    if (!first) {
      throw new AgentError(
        'PodNotFound',
        `Pod ${podUid} has no running container on this node. Wait until the pod is Running, then create a new request.`,
      );
    }
    return { podUid, netns: first.netns, containers };
  }

  /** Ids of all the pod's containers that run here, ephemeral ones included; empty if none does. */
  async runningContainerIds(podUid: string): Promise<string[]> {
    return (await this.containers(podUid)).map(({ id }) => id);
  }

  /**
   * The pod, if the agent knows of nothing that would make its dump or its restore fail. Changes nothing.
   * @param names of the containers that have to run, and no others
   * @param clusterAddresses the pod's, which its target does not get
   * @param connections what becomes of TCP connections there
   * @throws AgentError PodNotFound, ContainerNotRunning, UnsupportedObject, DriverMissing, ExecSessionOpen
   */
  async inspectPod(
    podUid: string,
    names: readonly string[],
    clusterAddresses: readonly string[],
    connections: PodIPConnections = 'Refuse',
  ): Promise<LocalPod> {
    const pod = await this.findPod(podUid);
    checkComplete(pod.containers, names);
    await this.checkDevices(pod);
    await this.#parts.exec.check(pod.containers);
    await this.checkProcesses(pod, clusterAddresses, connections);
    return pod;
  }

  /**
   * Nothing of what the pod's processes have or share would make the move fail. Changes nothing.
   * @throws AgentError UnsupportedObject
   */
  async checkProcesses(
    { netns, containers }: LocalPod,
    clusterAddresses: readonly string[],
    connections: PodIPConnections = 'Refuse',
  ): Promise<void> {
    const { unmovable, links, clusterSockets } = this.#parts;
    await this.checkIpc(containers);
    await unmovable.check(containers);
    await links.check(netns, containers);
    await clusterSockets.check(containers, clusterAddresses, connections);
  }

  /** How many TCP connections it loses with these addresses. Changes nothing. */
  async lostConnections({ containers }: LocalPod, addresses: readonly string[]): Promise<number> {
    return this.#parts.clusterSockets.lost(containers, addresses);
  }

  /** The same of a frozen pod, and what its target has to lend. Changes nothing. @throws AgentError UnsupportedObject */
  async lostOfFrozen(
    { containers }: LocalPod,
    clusterAddresses: readonly string[],
    connections: PodIPConnections,
  ): Promise<LostOfFrozen> {
    return this.#parts.clusterSockets.lostOfFrozen(containers, clusterAddresses, connections);
  }

  /**
   * Every object on the pod's RDMA devices would be dumped and can be restored. Changes nothing.
   * @throws AgentError UnsupportedObject, DriverMissing
   */
  async checkDevices(pod: LocalPod): Promise<void> {
    await this.#parts.deviceObjects.check(pod.netns, pod.containers);
  }

  /**
   * Every address that the pod's objects use has the same index on the target. Changes nothing.
   * @param target its GID tables; undefined: its agent has not reported them
   * @throws AgentError UnsupportedObject, DriverMissing
   */
  async checkAddresses(pod: LocalPod, target: readonly GidEntry[] | undefined): Promise<void> {
    if (!target) return;
    await this.#parts.deviceObjects.checkAddresses(pod.netns, pod.containers, target);
  }

  /**
   * The pod's addresses in the RDMA network that travel with it. Changes nothing.
   * @param isGiven whether an address is the pod's own
   */
  async fabric(pod: LocalPod, isGiven: (address: string) => boolean): Promise<Fabric> {
    return this.#parts.addresses.read(pod.netns, isGiven);
  }

  /** The pod's queue pair whose peer gives up first in a hold; undefined if none does. @throws AgentError DriverMissing */
  async firstPeerToGiveUp(pod: LocalPod): Promise<LimitedQueuePair | undefined> {
    return this.#parts.deviceObjects.firstPeerToGiveUp(pod.netns);
  }

  /** Bytes that its dump writes at least: of memory of its own. Changes nothing. */
  async leastBytes(pod: LocalPod): Promise<number> {
    return (await podMemory(this.#parts.host, pod.containers)).anon;
  }

  /** What it takes of its target's memory; undefined: it cannot be told. Changes nothing. */
  async memory({ podUid, containers }: LocalPod): Promise<PodMemory | undefined> {
    return lastingMemoryOf(this.#parts.host, podUid, containers);
  }

  /** Bytes of the files that travel with it; undefined: too many to count. Changes nothing. */
  async fileBytes(pod: LocalPod): Promise<number | undefined> {
    return podFilesSize(this.#parts.host, pod.podUid, pod.containers);
  }

  /**
   * Starts the programs of a dump, which wait, while nothing of the pod is touched. Never fails: a dump that finds none starts
   * them itself.
   * @param id directory of the images
   */
  async startDumps(pod: LocalPod, id: string): Promise<void> {
    await this.#parts.ahead?.start(pod, id);
  }

  /** Ends the programs that `startDumps` has started, unless the dump has begun. */
  async giveUpDumps(pod: Pick<LocalPod, 'podUid'>): Promise<void> {
    await this.#parts.ahead?.giveUp(pod);
  }

  /**
   * From now on no exec enters the containers (kubectl exec, exec probes), and only RoCE, ARP and neighbour discovery
   * pass in and out.
   * @param request for people: its kind and name
   * @throws AgentError ExecSessionOpen, LockFailed
   */
  async lockNetwork(pod: LocalPod, request: string): Promise<void> {
    await withFaults('source.lock', async () => {
      await this.#parts.exec.refuse(pod.containers, request);
      await this.#parts.lock.lock(pod.netns, 'roce');
    });
  }

  /**
   * The pod's RDMA devices put their peers' requests off and send nothing of their own. They receive datagrams until the
   * tasks are frozen.
   * @throws AgentError HoldFailed
   */
  async holdDevice(pod: LocalPod, answer: HoldAnswer): Promise<void> {
    await withFaults('source.hold', () => this.#parts.driver.holdButDatagrams(pod.netns, answer));
  }

  /**
   * Ends what is left of an earlier dump first. Once the tasks are frozen the devices receive no datagrams any more: from
   * then on nothing changes what is dumped.
   * @param signal ends the wait for a task that cannot be frozen
   * @throws AgentError RuntimeFailed, HoldFailed, Aborted
   */
  async freezeTasks(pod: LocalPod, signal?: AbortSignal): Promise<void> {
    await withFaults('source.freeze', async () => {
      await this.endFormerDumps(pod.containers);
      await this.#eachCgroup(pod.containers, (cgroup) => cgroup.freeze(signal));
      await this.#parts.driver.stopDatagrams(pod.netns);
    });
  }

  /**
   * Dumps every container of a frozen pod into the image store. The tasks stay frozen.
   * @param id directory of the images
   * @param signal aborts once the images are not needed any more. CRIU then gives up: it takes its parasite code out of
   * the tasks and ends.
   * @throws AgentError Aborted, CheckpointFailed, UnsupportedObject, UnsupportedRootfs, DiskFull
   */
  async dumpContainers(pod: LocalPod, id: string, signal?: AbortSignal): Promise<DumpResult> {
    return withFaults('source.dump', () => this.writeImages(pod, id, signal));
  }

  /**
   * Undoes lock, hold and freeze, also of a pod whose container has ended meanwhile or that has got an ephemeral one.
   * The order matters. The TCP sockets leave repair mode first, because data reaches them once the lock is gone. The
   * lock goes before the tasks thaw: data that arrives early waits in the kernel. A container that ends meanwhile needs
   * nothing; one that cannot be resumed does not keep the others from it, nor the device.
   * @throws AgentError LockFailed, RuntimeFailed
   */
  async resumePod(pod: LockedPod): Promise<void> {
    await this.giveUpDumps(pod);
    const containers = await this.containers(pod.podUid);
    await this.endFormerDumps(containers);
    // One without a cgroup was never frozen.
    const frozen = containers.filter(({ cgroup }) => cgroup !== undefined);
    await this.#eachCgroup(frozen, (cgroup) => cgroup.endTcpRepair());
    const netns = await this.#netnsOf(pod, containers);
    if (netns !== undefined) {
      await withFaults('source.unlock', () => this.#parts.lock.unlock(netns));
    }
    const failures: unknown[] = [];
    await withFaults('source.thaw', async () => {
      for (const one of frozen) {
        await this.#eachCgroup([one], (cgroup) => cgroup.thaw())
          .catch(unlessEnded)
          .catch((error: unknown) => failures.push(error));
      }
    });
    if (netns !== undefined) {
      const { driver } = this.#parts;
      await withFaults('source.resume', () => driver.resume(netns).catch(unlessGone));
    }
    if (failures.length > 0) throw failures[0];
    await this.#parts.exec.allow(containers);
  }

  /** NAKs that end a connection, which the pod's held devices keep. None of a namespace that is gone. Never fails. */
  async naks({ netns }: Pick<LocalPod, 'netns'>): Promise<KeptNaks> {
    try {
      return await keptNaks(this.#parts.driver, netns);
    } catch (error) {
      return { naks: [], failures: isGone(error) ? [] : [reasonOf(error)] };
    }
  }

  /**
   * After Committed: the pod's network is silenced for good, then its frozen tasks are killed, and their queue pairs go. Peers
   * of TCP connections that do not move get a reset.
   * @param keep gets in between the NAKs that the devices keep: no other one can come. Twice if a device could not be asked
   * the first time, and no more: the target waits for the source's end
   * @returns why peers got no reset: the pod is stopped all the same
   */
  async stopPod(
    pod: LockedPod,
    keep?: (found: KeptNaks) => Promise<void>,
  ): Promise<Failure | undefined> {
    const containers = await this.containers(pod.podUid);
    const netns = await this.#netnsOf(pod, containers);
    let failure: Failure | undefined;
    if (netns !== undefined) {
      failure = await this.silenceNetwork(netns, pod.resets);
      // Before the kill, with which the kernel would close the sockets: what it sends then does not pass.
      failure ??= await resetPeers(netns, pod.resets ?? [], this.#parts.endTcp);
      for (let attempts = 2; keep && attempts > 0; attempts--) {
        const found = await this.naks({ netns });
        await keep(found);
        if (found.failures.length === 0) break;
      }
    }
    const killable = containers.filter(({ cgroup }) => cgroup !== undefined);
    await withFaults('source.kill', () => this.#eachCgroup(killable, (cgroup) => cgroup.kill()));
    return failure;
  }

  /**
   * The network namespace sends nothing any more, not even ARP, and takes no frames that peers on this node send to the
   * target. This lasts until the pod is deleted. A namespace that is gone needs nothing.
   * @param resets addresses whose TCP connections end here: of them resets pass, then and for whatever comes later
   * @returns why no reset passes
   * @throws AgentError LockFailed
   */
  silenceNetwork(netns: string, resets?: readonly string[]): Promise<Failure | undefined> {
    return silence(this.#parts, netns, resets);
  }

  /** Allows exec again in the containers of pods that no request of this node works on. */
  allowOrphanedExec(isMoving: (podUid: string) => boolean): Promise<void> {
    return this.#parts.exec.allowOrphans(isMoving);
  }

  /** What peers know the pod by: QPNs, keys, GIDs, addresses. */
  async identity(pod: LocalPod): Promise<Identity> {
    return this.#parts.driver.identity(pod.netns);
  }

  /** Of a pod whose containers may have ended. containerd's name it by a PID of the sandbox: the journal's may be another's now. */
  async #netnsOf(pod: LockedPod, [running]: readonly Container[]): Promise<string | undefined> {
    return running?.netns ?? (await this.sandboxNetns(pod.podUid)) ?? lastingNetns(pod.netns);
  }

  async #eachCgroup(
    containers: readonly Container[],
    work: (cgroup: CgroupControl) => Promise<void>,
  ): Promise<void> {
    for (const container of containers) {
      if (container.cgroup === undefined) {
        throw new AgentError(
          'RuntimeFailed',
          `Container ${container.name} has no cgroup v2. Boot the node with the unified cgroup hierarchy.`,
        );
      }
      await work(this.cgroup(this.#parts.host.path(container.cgroup)));
    }
  }

  /** Ends dumps that an earlier agent has begun. Their tasks are frozen again if CRIU had to be killed. */
  protected async endFormerDumps(containers: readonly Container[]): Promise<void> {
    const ending = containers.map(async (container) => {
      if (this.#parts.ahead?.has(container.id)) return;
      if (await this.#parts.runc.endFormerDump(container.id)) return;
      await this.#eachCgroup([container], (cgroup) => cgroup.freeze()).catch(unlessEnded);
    });
    await Promise.all(ending);
  }

  protected checkIpc(containers: readonly Container[]): Promise<void> {
    return checkIpc(containers);
  }

  protected containers(podUid: string): Promise<Container[]> {
    return podContainers(this.#parts.host, podUid);
  }

  /** Undefined: the pod has no sandbox that runs. */
  protected sandboxNetns(podUid: string): Promise<string | undefined> {
    return sandboxNetns(this.#parts.host, podUid);
  }

  protected cgroup(dir: string): CgroupControl {
    return new Cgroup(dir);
  }

  protected async writeImages(
    pod: LocalPod,
    id: string,
    signal?: AbortSignal,
  ): Promise<DumpResult> {
    await this.endFormerDumps(pod.containers);
    return dumpPod(this.#parts, pod, {
      ...{ id, signal },
      freeze: (container) => this.#eachCgroup([container], (cgroup) => cgroup.freeze()),
    });
  }
}

function unlessEnded(error: unknown): void {
  if (!(error instanceof ContainerEnded)) throw error;
}

function unlessGone(error: unknown): void {
  if (!isGone(error)) throw error;
}
