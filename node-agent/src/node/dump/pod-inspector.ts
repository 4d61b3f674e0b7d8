// SPDX-License-Identifier: Apache-2.0
// Looks at a pod for a dry run: everything that would make its dump fail, and how much a dump would have to write. Reads
// /proc, cgroups, the RDMA driver's lists and the sizes of files; changes nothing. The source's reconciler calls it.
import {
  sendingMs,
  type BandwidthLimit,
  type Bytes,
  type Inspection,
  type ObjectCounts,
  type PodIPConnections,
} from '../../../../crds/src/index.ts';
import type { RxeObject } from '../../../../native/addon/index.ts';
import { AgentError, reasonOf, type Failure } from '../../support/errors.ts';
import { podFilesSize } from '../files/pod-files.ts';
import type { RdmaDriver } from '../device/driver.ts';
import type { PodAddresses } from '../device/pod-addresses.ts';
import type { Host } from '../host/host.ts';
import { podContainers, type Container } from '../runtime/containers.ts';
import { podMemory } from '../runtime/pod-memory.ts';
import type { ClusterSockets } from './cluster-sockets.ts';
import type { ContainerLinks } from './container-links.ts';
import type { DeviceObjects } from './device-objects.ts';
import type { ExecSessions } from './exec-sessions.ts';
import type { Findings } from './findings.ts';
import { checkIpc, incompleteness } from './preconditions.ts';
import type { UnmovableFiles } from './unmovable.ts';

export interface PodInspectorParts {
  host: Host;
  driver: Pick<RdmaDriver, 'devices' | 'objects'>;
  exec: Pick<ExecSessions, 'findings'>;
  unmovable: Pick<UnmovableFiles, 'findings'>;
  links: Pick<ContainerLinks, 'findings'>;
  clusterSockets: Pick<ClusterSockets, 'findings' | 'lost'>;
  addresses: Pick<PodAddresses, 'read'>;
  deviceObjects: Pick<DeviceObjects, 'findings' | 'addressFindings' | 'firstPeerToGiveUp'>;
}

/** What is known of the pod from the API server. */
export interface InspectedPod {
  podUid: string;
  /** Names of the containers that have to run, and no others. */
  names: readonly string[];
  /** The pod's cluster addresses, which its target does not get. */
  clusterAddresses: readonly string[];
  /** What becomes of TCP connections there. */
  connections: PodIPConnections;
  /** Whether an address in its further networks is its own: its target gets it. */
  isGiven: (address: string) => boolean;
  /** @throws AgentError for peers that do not retry long enough for a move of the pod in this network namespace */
  checkPeers: (
    queuePairs: Pick<DeviceObjects, 'firstPeerToGiveUp'>,
    netns: string,
    leastBytes: number,
  ) => Promise<unknown>;
  /** What its policy allows; undefined: no limit. */
  bandwidth: BandwidthLimit | undefined;
  /** @throws AgentError if so many bytes cannot be sent in time */
  checkBandwidth: (leastBytes: number) => void;
}

/** More than a user reads. The API server takes no longer text (crds/src/inspection.ts). */
const MAX_FINDINGS = 64;
const MAX_LENGTH = 2048;

const counted: Partial<Record<RxeObject['kind'], keyof ObjectCounts>> = {
  qp: 'qp',
  cq: 'cq',
  mr: 'mr',
  srq: 'srq',
  ah: 'ah',
};

/** Of the files that move with the pod; undefined: too many to count. */
type FileBytes = () => Promise<number | undefined>;

export class PodInspector {
  readonly #parts: PodInspectorParts;

  constructor(parts: PodInspectorParts) {
    this.#parts = parts;
  }

  /** @throws what is no AgentError: the node could not be read, and another attempt may succeed */
  async inspect(pod: InspectedPod): Promise<Inspection> {
    const containers = await this.containers(pod.podUid);
    const [first] = containers;
    if (!first) {
      const message = `Pod ${pod.podUid} has no running container on this node. Wait until the pod is Running.`;
      return { findings: [{ reason: 'PodNotFound', message }] };
    }
    // The walk may be long. Only what needs it fails where it cannot be done.
    let counted: Promise<number | undefined> | undefined;
    const fileBytes = () => (counted ??= podFilesSize(this.#parts.host, pod.podUid, containers));
    const findings = new Map<string, Failure>();
    const add = (error: unknown): void => {
      if (!(error instanceof AgentError)) throw error;
      const { code, message } = reasonOf(error);
      if (findings.size < MAX_FINDINGS) findings.set(message, { code, message });
    };
    for (const check of this.#checks(first.netns, containers, { ...pod, fileBytes })) {
      try {
        for await (const error of check()) add(error);
      } catch (error) {
        add(error);
      }
    }
    const objects = await this.#objects(first.netns).catch(add);
    const bytes = await this.#bytes(containers, fileBytes).catch(add);
    const lost = await this.#lost(containers, pod);
    return {
      findings: [...findings.values()].map(({ code, message }) => ({
        reason: code,
        message: message.slice(0, MAX_LENGTH),
      })),
      ...(objects && { objects }),
      ...(bytes && { bytes }),
      ...(lost !== undefined && { lostConnections: lost }),
      ...(bytes && pod.bandwidth && { sendingMs: sendingMs(sizeOf(bytes), pod.bandwidth) }),
    };
  }

  #checks(
    netns: string,
    containers: readonly Container[],
    pod: InspectedPod & { fileBytes: FileBytes },
  ): (() => Findings)[] {
    const { exec, unmovable, links, clusterSockets, deviceObjects, addresses } = this.#parts;
    const { names, clusterAddresses, connections, isGiven, checkPeers, checkBandwidth } = pod;
    const least = (): Promise<number> => this.#least(pod, containers);
    const ipc = (): Promise<void> => this.checkIpc(containers);
    return [
      async function* () {
        yield* incompleteness(containers, names);
      },
      () => deviceObjects.findings(netns, containers),
      async function* () {
        const fabric = await addresses.read(netns, isGiven);
        yield* deviceObjects.addressFindings(netns, containers, fabric);
      },
      async function* () {
        await checkPeers(deviceObjects, netns, await least());
      },
      async function* () {
        checkBandwidth(await least());
      },
      async function* () {
        await ipc();
      },
      () => exec.findings(containers),
      () => unmovable.findings(containers),
      () => links.findings(netns, containers),
      () => clusterSockets.findings(containers, clusterAddresses, connections),
    ];
  }

  /** What has to be sent at least. Files are counted only where a limit makes them matter. */
  async #least(
    { bandwidth, fileBytes }: Pick<InspectedPod, 'bandwidth'> & { fileBytes: FileBytes },
    containers: readonly Container[],
  ): Promise<number> {
    const { anon } = await podMemory(this.#parts.host, containers);
    return bandwidth ? anon + ((await fileBytes()) ?? 0) : anon;
  }

  /** Undefined: none would be lost, or they are in the way. */
  async #lost(
    containers: readonly Container[],
    { clusterAddresses, connections }: InspectedPod,
  ): Promise<number | undefined> {
    if (connections === 'Refuse' || clusterAddresses.length === 0) return undefined;
    return this.#parts.clusterSockets.lost(containers, clusterAddresses);
  }

  /** RDMA objects of the pod's processes; the kernel's own have no context. */
  async #objects(netns: string): Promise<ObjectCounts> {
    const counts = { qp: 0, cq: 0, mr: 0, srq: 0, ah: 0 };
    for (const { name } of await this.#parts.driver.devices(netns)) {
      for (const { kind, context } of await this.#parts.driver.objects(netns, name)) {
        const field = counted[kind];
        if (field !== undefined && context !== undefined) counts[field]++;
      }
    }
    return counts;
  }

  async #bytes(containers: readonly Container[], fileBytes: FileBytes): Promise<Bytes> {
    const { anon, shmem } = await podMemory(this.#parts.host, containers);
    const rootfs = await fileBytes();
    return { pages: anon + shmem, ...(rootfs !== undefined && { rootfs }) };
  }

  protected checkIpc(containers: readonly Container[]): Promise<void> {
    return checkIpc(containers);
  }

  protected containers(podUid: string): Promise<Container[]> {
    return podContainers(this.#parts.host, podUid);
  }
}

const sizeOf = ({ pages = 0, rootfs = 0 }: Bytes): number => pages + rootfs;
