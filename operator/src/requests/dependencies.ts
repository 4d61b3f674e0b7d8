// SPDX-License-Identifier: Apache-2.0
// What is injected into every controller of the operator.
import {
  annotations,
  policyFor,
  type CheckpointRequest,
  type MigrationPolicy,
  type MigrationRequest,
  type RestoreRequest,
} from '../../../crds/src/index.ts';
import {
  isNotFound,
  KeyedMutex,
  namespaces,
  networkAttachments,
  pods,
  realClock,
  unlessNotFound,
  type Api,
  type Clock,
  type EventRecorder,
  type Informer,
  type Node,
  type Pod,
  type Resource,
} from '../../../kube/src/index.ts';
import type { AgentLeases } from '../nodes/agent-leases.ts';
import type { MemorySeen } from '../nodes/memory-seen.ts';
import { AdoptedTimes } from './adopted-times.ts';
import { BlackoutLooks } from './blackout-looks.ts';
import { FinishedTimes, type Finished } from './finished.ts';
import { Sightings } from './sightings.ts';
import { MoveQueue } from '../moves/move-queue.ts';
import { QueueLooks } from './queue-looks.ts';
import { unplacedSince } from '../target-pod/health.ts';
import type { HandoverRequest } from './handover-types.ts';
import type { RawPod } from '../target-pod/manifest.ts';

/** What watches have brought, as of some moments ago. */
export interface Watched {
  readonly migrations: Pick<Informer<MigrationRequest>, 'get' | 'list'>;
  readonly restores: Pick<Informer<RestoreRequest>, 'get'>;
  readonly checkpoints: Pick<Informer<CheckpointRequest>, 'get' | 'list'>;
  /** Of requests under way. */
  readonly pods: { get(key: string): Pod | undefined };
}

export class Dependencies {
  readonly api: Api;
  readonly events: EventRecorder;
  readonly nodes: Informer<Node>;
  readonly agents: AgentLeases | undefined;
  readonly moves: MoveQueue;
  /** What earlier leaders have written. */
  readonly adopted = new AdoptedTimes();
  readonly looks = new BlackoutLooks();
  readonly queueLooks = new QueueLooks();
  readonly #finished: FinishedTimes;
  /** Absent: the operator reads everything from the API server. */
  readonly watched: Watched | undefined;
  /** Target pods without a node, by the request's UID. */
  readonly unschedulable = new Sightings();
  readonly policies: Pick<Informer<MigrationPolicy>, 'list'>;
  readonly clock: Clock;
  /** Paths of nodes below which every node has the same files. */
  readonly sharedHostPaths: readonly string[];
  /** By the pod's namespace and name: the operator accepts one request at a time for a pod. */
  readonly acceptingPod = new KeyedMutex();

  constructor(parts: {
    api: Api;
    events: EventRecorder;
    nodes: Informer<Node>;
    /** Absent: every agent that has labelled its node is taken for alive. */
    agents?: AgentLeases | undefined;
    moves?: MoveQueue;
    /** Absent: there is none. */
    policies?: Pick<Informer<MigrationPolicy>, 'list'>;
    clock?: Clock;
    sharedHostPaths?: readonly string[] | undefined;
    watched?: Watched | undefined;
    /** Whose clock this is. */
    nodeName?: string | undefined;
  }) {
    this.api = parts.api;
    this.events = parts.events;
    this.nodes = parts.nodes;
    this.agents = parts.agents;
    this.moves = parts.moves ?? new MoveQueue();
    this.policies = parts.policies ?? { list: () => [] };
    this.clock = parts.clock ?? realClock;
    this.sharedHostPaths = parts.sharedHostPaths ?? [];
    this.watched = parts.watched;
    this.#finished = new FinishedTimes(parts.nodeName);
  }

  /** An object as it is now, not as a cache has it. */
  async find<T>(
    resource: Resource<T>,
    namespace: string,
    name: string,
    signal: AbortSignal,
  ): Promise<T | undefined> {
    return unlessNotFound(this.api.get(resource, namespace, name, { signal }));
  }

  async findPod(
    namespace: string,
    name: string | undefined,
    signal: AbortSignal,
  ): Promise<Pod | undefined> {
    return name === undefined ? undefined : this.find(pods, namespace, name, signal);
  }

  /** A pod with all its fields, also those that the operator does not know. */
  async rawPod(namespace: string, name: string, signal: AbortSignal): Promise<RawPod> {
    return (await this.api.getRaw(pods, namespace, name, { signal })) as RawPod;
  }

  /** The policy that applies to a pod. */
  async policyFor(pod: Pod, signal: AbortSignal): Promise<MigrationPolicy | undefined> {
    const policies = this.policies.list();
    if (policies.length === 0) return undefined;
    const { namespace } = pod.metadata;
    const { metadata } = await this.api.get(namespaces, '', namespace, { signal });
    return policyFor(policies, pod, metadata);
  }

  /** @throws ApiError `NotFound` */
  async namespaceUid(name: string, signal: AbortSignal): Promise<string> {
    return (await this.api.get(namespaces, '', name, { signal })).metadata.uid;
  }

  /** All nodes, also those without Sealift: a refusal names them. */
  nodeList(): Node[] {
    const { agents } = this;
    const all = this.nodes.list();
    return agents ? all.map((node) => agents.seen(node)) : all;
  }

  /** What a request may know of the nodes' memory. */
  memoryFor({ kind, metadata }: HandoverRequest): MemorySeen {
    // What was found for the move that has lost a pod is there for its restore.
    const lostBy = kind === 'RestoreRequest' && metadata.annotations[annotations.requestUid];
    const uid = lostBy || metadata.uid;
    return {
      of: (node) => this.agents?.memoryOf(node),
      taken: (node) => this.moves.takenOn(node, uid),
    };
  }

  /** A request as read, with the times that this process has to wait for. */
  adopt<T extends HandoverRequest | CheckpointRequest>(request: T): T {
    return this.adopted.adopt(request, this.clock.now());
  }

  /** Since when a request has been finished, as far as this process may say; undefined: it is active. */
  finished(request: HandoverRequest | CheckpointRequest): Finished | undefined {
    return this.#finished.of(request, this.clock.now());
  }

  /** The time by the clock of a node; undefined: not known. */
  nodeTime(node: string | undefined): number | undefined {
    return node === undefined ? undefined : this.agents?.timeOf(node);
  }

  /** For how long this process has seen that a target has no node. */
  unschedulableMs({ metadata }: HandoverRequest, target: Pod | undefined): number {
    const what = target && unplacedSince(target);
    return this.unschedulable.elapsedMs(metadata.uid, what, this.clock.now());
  }

  /** The request is deleted. */
  forget(uid: string): void {
    this.adopted.forget(uid);
    this.unschedulable.forget(uid);
    this.looks.forget(uid);
    this.queueLooks.forget(uid);
    this.#finished.forget(uid);
  }

  /** `spec.config` of networks, by `namespace/name`; those that cannot be read are left out. */
  async networkConfigs(
    names: readonly string[],
    signal: AbortSignal,
  ): Promise<Map<string, string>> {
    const out = new Map<string, string>();
    for (const full of new Set(names)) {
      const [namespace = '', name = ''] = full.split('/');
      try {
        const raw = await this.api.getRaw(networkAttachments, namespace, name, { signal });
        const config = (raw as { spec?: { config?: unknown } }).spec?.config;
        if (typeof config === 'string') out.set(full, config);
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
    return out;
  }
}
