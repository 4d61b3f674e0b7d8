// SPDX-License-Identifier: Apache-2.0
// The state of a node: kernel, disk, container runtime. The crash of an agent changes none of it.
import type { SocketHandlers } from '../../../node-agent/src/callers/socket/server.ts';
import type { Manifest } from '../../../node-agent/src/node/transfer/manifest.ts';
import type { Nak } from '../../../crds/src/index.ts';
import { Process } from '../process.ts';
import type { Timeline } from '../timeline.ts';
import { DiskFaults } from './disk-faults.ts';

/** The memory of a container: how many operations it has done. */
export interface Memory {
  /** Copies of one application have the same. No two of them may run. */
  readonly application: string;
  done: number;
}

/** The container with the RDMA objects. Other containers of the pod only count. */
export const rdmaContainer = 'main';

export type Lock = 'none' | 'source' | 'total';

export interface Device {
  readonly name: string;
  held: boolean;
  /** Held, but not for datagrams. */
  receivesDatagrams: boolean;
  /** A NAK that ends a connection: kept while the device is held, obeyed when it resumes. */
  nak?: Nak;
  obeyed?: Nak;
}

/** A pod's network namespace. */
export interface Sandbox {
  readonly id: string;
  readonly podUid: string;
  readonly application: string;
  /** Where the CNI plugins find its namespace. */
  readonly netns: string;
  /** Where containerd's containers find it: by the PID of the sandbox's first task, which other nodes and boots have too. */
  readonly taskNetns: string;
  /** Its interface is up. */
  connected: boolean;
  lock: Lock;
  device: Device | undefined;
  hidden: boolean;
  announced: boolean;
  /** Operations that the kernel has acknowledged and the application has not read. */
  pending: number;
  /** Files that the containers share were replaced after one of them had been restored. */
  hasReplacedFiles: boolean;
  gone: boolean;
}

export type ContainerState =
  'Creating' | 'Restoring' | 'AtResumeGate' | 'Running' | 'Frozen' | 'Dead';

export interface Container {
  readonly id: string;
  readonly bundle: string;
  readonly name: string;
  readonly podUid: string;
  readonly sandbox: Sandbox;
  /** Aborted when the container is removed. */
  readonly stop: AbortController;
  state: ContainerState;
  /** The kubelet's start of it has returned. */
  started: boolean;
  memory: Memory | undefined;
  /** CRIU has restored it; otherwise the runtime has started it anew. */
  restored: boolean;
  /** sealift-runc refuses to start programs in it (sealift-moving). */
  refusesExec: boolean;
}

/** CRIU's images of a pod on a disk. */
export interface Image {
  readonly id: string;
  /** Undefined: the images are incomplete, or not sealed, or not synced. */
  manifest: Manifest | undefined;
  /** Of images that another node has sent. They are not synced before `manifest` is set. */
  readonly received?: Manifest | undefined;
  /** By container. */
  readonly memories: Readonly<Record<string, Memory>>;
}

export class Machine {
  readonly name: string;
  readonly timeline: Timeline;
  /** Kernel and kubelet. A reset kills it. */
  boot: Process;
  readonly sandboxes = new Map<string, Sandbox>();
  readonly containers = new Map<string, Container>();
  readonly images = new Map<string, Image>();
  readonly journal = new Map<string, string>();
  /** CRIUs that dump, by the container. */
  readonly dumps = new Map<string, symbol>();
  readonly disk: DiskFaults;
  /** Directories of CRIU's logs, by request. */
  readonly work = new Set<string>();
  /** The agent's socket, while an agent listens. */
  socket: { handlers: SocketHandlers; agent: Process } | undefined;
  /** Called before a container is removed. */
  onRemove: ((container: Container) => void) | undefined;
  #ids = 0;
  /** Of the last task that this boot has started. */
  #pid = 100;

  constructor(name: string, timeline: Timeline) {
    this.name = name;
    this.timeline = timeline;
    this.disk = new DiskFaults(timeline, this.images);
    this.boot = new Process(`node/${name}`, timeline);
  }

  /** The node loses its power. The disk keeps what was synced. */
  reset(): void {
    this.boot.kill();
    this.disk.boot();
    for (const sandbox of this.sandboxes.values()) sandbox.gone = true;
    for (const container of this.containers.values()) container.state = 'Dead';
    this.sandboxes.clear();
    this.containers.clear();
    this.#pid = 100;
    this.socket = undefined;
    for (const [id, image] of this.images) if (!image.manifest) this.images.delete(id);
    this.work.clear();
    this.dumps.clear();
    this.boot = new Process(`node/${this.name}`, this.timeline);
  }

  newId(kind: string): string {
    return `${kind}-${this.name}-${++this.#ids}`;
  }

  newSandbox(podUid: string, application: string): Sandbox {
    const id = this.newId('sandbox');
    const sandbox: Sandbox = {
      ...{ id, podUid, application, netns: `/run/netns/${this.name}/${id}` },
      taskNetns: `/proc/${++this.#pid}/ns/net`,
      ...{ connected: false, lock: 'none', device: undefined, hidden: false },
      ...{ announced: false, pending: 0, hasReplacedFiles: false, gone: false },
    };
    this.sandboxes.set(podUid, sandbox);
    return sandbox;
  }

  newContainer(sandbox: Sandbox, name: string): Container {
    const id = this.newId('container');
    const container: Container = {
      ...{ id, bundle: `/run/bundles/${this.name}/${id}`, name, podUid: sandbox.podUid, sandbox },
      ...{ stop: new AbortController(), state: 'Creating', started: false },
      ...{ memory: undefined, restored: false, refusesExec: false },
    };
    this.containers.set(id, container);
    return container;
  }

  /** The pod's containers in whatever state. */
  containersOf(podUid: string): Container[] {
    return [...this.containers.values()].filter((one) => one.podUid === podUid);
  }

  /** SIGKILL; then the runtime deletes the container. */
  removeContainer(container: Container): void {
    if (this.containers.has(container.id)) this.onRemove?.(container);
    container.state = 'Dead';
    this.containers.delete(container.id);
    container.stop.abort();
  }

  removeSandbox(sandbox: Sandbox): void {
    sandbox.gone = true;
    if (this.sandboxes.get(sandbox.podUid) === sandbox) this.sandboxes.delete(sandbox.podUid);
  }
}
