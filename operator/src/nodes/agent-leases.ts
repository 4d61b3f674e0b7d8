// SPDX-License-Identifier: Apache-2.0
// Which nodes have a live agent. Each agent renews a Lease in the chart's namespace, and labels its node with the driver's ABI.
// An agent that has died cannot remove its label: the operator removes it when the Lease has run out.
import {
  agentLease,
  annotations,
  labels,
  parseNodeMemory,
  type NodeMemory,
} from '../../../crds/src/index.ts';
import {
  codeOf,
  Informer,
  leases,
  messageOf,
  nodes,
  type Api,
  type Clock,
  type Lease,
  type Logger,
  type Node,
} from '../../../kube/src/index.ts';

const sweepMs = 15_000;
/** A process that was paused, or whose clock was set, has missed renewals: it starts to count again. */
const pausedMs = 4 * sweepMs;

interface Parts {
  readonly api: Api;
  readonly log: Logger;
  readonly clock: Clock;
  /** The namespace of the chart. */
  readonly namespace: string;
}

export class AgentLeases {
  readonly #parts: Parts;
  readonly informer: Informer<Lease>;
  /** By the Lease's name: when its last renewal was seen, by this process's own clock. */
  readonly #renewedAt = new Map<string, number>();
  /** By the Lease's name: the clock of its node at its last renewal that was seen to happen. */
  readonly #nodeTimes = new Map<string, number>();
  /** From when this process could have seen a renewal. Before its lease time has passed since, every agent counts as alive. */
  #since: number;
  /** When this process last read the clock. */
  #awakeAt: number;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { api, log, clock, namespace } = parts;
    this.#since = clock.now();
    this.#awakeAt = this.#since;
    const selection = { namespace, labelSelector: labels.agent };
    this.informer = new Informer({ api, resource: leases, log, clock, selection });
    this.informer.listen((_key, after, before) => {
      const { name } = (after ?? before)?.metadata ?? {};
      if (name === undefined) return;
      if (after) this.#renewedAt.set(name, clock.now());
      else this.#renewedAt.delete(name);
      // When the first one that is seen was written is not known.
      const time = after && before ? Date.parse(after.spec.renewTime ?? '') : NaN;
      if (Number.isFinite(time)) this.#nodeTimes.set(name, time);
      else this.#nodeTimes.delete(name);
    });
  }

  /**
   * The time by the clock of a node, which is that of its kubelet and its agent.
   * @returns milliseconds since the epoch; undefined: the agent has not renewed its Lease yet since this process began
   */
  timeOf(node: string): number | undefined {
    const name = agentLease.name(node);
    const [time, seenAt] = [this.#nodeTimes.get(name), this.#renewedAt.get(name)];
    if (time === undefined || seenAt === undefined || this.#wasPaused()) return undefined;
    return time + this.#parts.clock.now() - seenAt;
  }

  /** How much memory a node has for pods that arrive, as of its agent's last renewal; undefined: the agent does not say. */
  memoryOf(node: string): NodeMemory | undefined {
    const { metadata, spec } = this.#leaseOf(node) ?? {};
    return parseNodeMemory(metadata?.annotations[annotations.memory], spec?.renewTime);
  }

  isAlive(node: string): boolean {
    const { clock } = this.#parts;
    if (this.#wasPaused()) return true;
    const { leaseDurationSeconds } = this.#leaseOf(node)?.spec ?? {};
    const ageMs = clock.now() - (this.#renewedAt.get(agentLease.name(node)) ?? this.#since);
    return ageMs <= (leaseDurationSeconds ?? agentLease.durationSeconds) * 1000;
  }

  /** The node as controllers see it: without the driver's label if its agent is gone. */
  seen(node: Node): Node {
    if (node.metadata.labels[labels.driverAbi] === undefined) return node;
    if (this.isAlive(node.metadata.name)) return node;
    const { [labels.driverAbi]: _abi, ...others } = node.metadata.labels;
    return { ...node, metadata: { ...node.metadata, labels: others } };
  }

  /** Takes the label from nodes whose agent is gone. Runs until the signal aborts. */
  async sweep(list: () => readonly Node[], signal: AbortSignal): Promise<void> {
    await Promise.all([this.#followClock(signal), this.#removeLabels(list, signal)]);
  }

  /** For itself: an API server that is slow to answer must not look like a pause. */
  async #followClock(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    while (!signal.aborted) {
      await clock.sleep(sweepMs, signal);
      if (this.#wasPaused()) this.#startAgain();
      this.#awakeAt = clock.now();
    }
  }

  async #removeLabels(list: () => readonly Node[], signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    while (!signal.aborted) {
      await clock.sleep(sweepMs, signal);
      for (const node of list()) {
        if (signal.aborted) return;
        if (this.seen(node) !== node) await this.#unlabel(node, signal);
      }
    }
  }

  #leaseOf(node: string): Lease | undefined {
    return this.informer.get(`${this.#parts.namespace}/${agentLease.name(node)}`);
  }

  #wasPaused(): boolean {
    return Math.abs(this.#parts.clock.now() - this.#awakeAt) > pausedMs;
  }

  #startAgain(): void {
    this.#since = this.#parts.clock.now();
    this.#renewedAt.clear();
    this.#nodeTimes.clear();
  }

  /** An agent that has come back meanwhile labels its node again within one renewal. */
  async #unlabel({ metadata }: Node, signal: AbortSignal): Promise<void> {
    const { api, log } = this.#parts;
    const { name, resourceVersion } = metadata;
    const patch = { metadata: { resourceVersion, labels: { [labels.driverAbi]: null } } };
    try {
      await api.merge(nodes, '', name, patch, { signal });
      log.warn({ node: name }, 'agent has not renewed its Lease, label removed');
    } catch (error) {
      if (signal.aborted) return;
      log.warn({ node: name, code: codeOf(error), detail: messageOf(error) }, 'label not removed');
    }
  }
}
