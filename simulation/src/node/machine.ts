// SPDX-License-Identifier: Apache-2.0
// A node: what its kernel, its disk and its container runtime hold. An agent's crash changes none of it.
import type { SocketHandlers } from '../../../node-agent/src/callers/socket/server.ts';
import type { Manifest } from '../../../node-agent/src/node/transfer/manifest.ts';
import { Process } from '../process.ts';
import type { Timeline } from '../timeline.ts';

/** What the application has in memory: how many operations it has done. */
export interface Memory {
  /** Copies of one application have the same; never two of them run. */
  readonly lineage: string;
  done: number;
}

/** The container that has the RDMA objects; of several, the others only count. */
export const speaker = 'main';

export type Lock = 'none' | 'source' | 'total';

/** A pod's network namespace. */
export interface Sandbox {
  readonly id: string;
  readonly podUid: string;
  readonly lineage: string;
  readonly netns: string;
  /** Its interface is up. */
  connected: boolean;
  lock: Lock;
  device: { name: string; held: boolean } | undefined;
  hidden: boolean;
  announced: boolean;
  /** Acknowledged by the kernel, not yet read by the application. */
  pending: number;
  /** Files that the containers share were replaced beneath one that had been restored. */
  spoilt: boolean;
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
  /** Aborted when it is removed: whoever works for it ends. */
  readonly stop: AbortController;
  state: ContainerState;
  /** As the kubelet sees it: its start has returned. */
  started: boolean;
  memory: Memory | undefined;
  /** Made by a restore, rather than started from nothing. */
  restored: boolean;
}

/** CRIU's images of a pod on a disk. */
export interface Image {
  readonly id: string;
  /** Absent: still being written, or only dumped. */
  manifest: Manifest | undefined;
  /** By container. */
  readonly memories: Readonly<Record<string, Memory>>;
}

export class Machine {
  readonly name: string;
  readonly timeline: Timeline;
  /** Kernel and kubelet: dies with a reset. */
  boot: Process;
  readonly sandboxes = new Map<string, Sandbox>();
  readonly containers = new Map<string, Container>();
  readonly images = new Map<string, Image>();
  readonly journal = new Map<string, string>();
  /** Folders of CRIU's logs, by request. */
  readonly work = new Set<string>();
  /** Request and container whose restored tasks CRIU has let go of: its log says so. */
  readonly released = new Set<string>();
  /** The agent's socket, while somebody listens; and the agent that does. */
  socket: { handlers: SocketHandlers; agent: Process } | undefined;
  /** Told before a container is forgotten, or what was restored of it. */
  onRemove: ((container: Container) => void) | undefined;
  #ids = 0;

  constructor(name: string, timeline: Timeline) {
    this.name = name;
    this.timeline = timeline;
    this.boot = new Process(`node/${name}`, timeline);
  }

  /** Power is lost: the disk keeps what was made durable. */
  reset(): void {
    this.boot.kill();
    for (const sandbox of this.sandboxes.values()) sandbox.gone = true;
    for (const container of this.containers.values()) container.state = 'Dead';
    this.sandboxes.clear();
    this.containers.clear();
    this.socket = undefined;
    for (const [id, image] of this.images) if (!image.manifest) this.images.delete(id);
    this.work.clear();
    this.boot = new Process(`node/${this.name}`, this.timeline);
  }

  newId(kind: string): string {
    return `${kind}-${this.name}-${++this.#ids}`;
  }

  newSandbox(podUid: string, lineage: string): Sandbox {
    const id = this.newId('sandbox');
    const sandbox: Sandbox = {
      ...{ id, podUid, lineage, netns: `/run/netns/${this.name}/${id}` },
      ...{ connected: false, lock: 'none', device: undefined, hidden: false },
      ...{ announced: false, pending: 0, spoilt: false, gone: false },
    };
    this.sandboxes.set(podUid, sandbox);
    return sandbox;
  }

  newContainer(sandbox: Sandbox, name: string): Container {
    const id = this.newId('container');
    const container: Container = {
      ...{ id, bundle: `/run/bundles/${this.name}/${id}`, name, podUid: sandbox.podUid, sandbox },
      ...{ stop: new AbortController(), state: 'Creating', started: false },
      ...{ memory: undefined, restored: false },
    };
    this.containers.set(id, container);
    return container;
  }

  /** The pod's containers that are under way, run or have just ended. */
  containersOf(podUid: string): Container[] {
    return [...this.containers.values()].filter((one) => one.podUid === podUid);
  }

  /** SIGKILL, and the runtime forgets it. */
  removeContainer(container: Container): void {
    if (this.containers.has(container.id)) this.onRemove?.(container);
    container.state = 'Dead';
    this.containers.delete(container.id);
    container.stop.abort();
  }

  /** What a restore had rebuilt is killed; the container may be restored once more. */
  endRestore(container: Container): void {
    if (container.state === 'Dead') return;
    this.onRemove?.(container);
    Object.assign(container, { state: 'Creating', memory: undefined, restored: false });
  }

  removeSandbox(sandbox: Sandbox): void {
    sandbox.gone = true;
    if (this.sandboxes.get(sandbox.podUid) === sandbox) this.sandboxes.delete(sandbox.podUid);
  }
}
