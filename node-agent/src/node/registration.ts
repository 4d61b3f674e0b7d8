// SPDX-License-Identifier: Apache-2.0
// Registers this node with the operator: the driver's ABI as a label of the Node object, the agent's address as an
// annotation, its CPU's features as another, what the node lacks as both, and a Lease that says that the agent is alive. The operator chooses nodes by label,
// address and Lease, and takes the label away when the Lease has run out. How much memory the node has goes with each renewal, so
// that it costs no write of its own.
import {
  agentLease,
  annotations,
  formatNodeMemory,
  labels,
  type NodeMemory,
} from '../../../crds/src/index.ts';
import {
  microTime,
  nodes,
  renewLease,
  withFaults,
  type Api,
  type Clock,
  type Logger,
} from '../../../kube/src/index.ts';
import { reasonOf, type Failure } from '../support/errors.ts';
import type { PodNetworkDescription } from './pod-ip/pod-network-check.ts';

/** What the agent says about its node. */
export interface NodeDescription {
  /** For instance `rxe-10`. Without one the label is removed, and the operator moves no pod to or from this node. */
  readonly driverAbi: string | undefined;
  /** Everything that the node lacks: the code of the first thing, and what to do about each. */
  readonly problem: Failure | undefined;
}

export interface RegistrationParts {
  readonly api: Api;
  readonly clock: Clock;
  readonly log: Logger;
  readonly nodeName: string;
  /** `host:port` of the image receiver. */
  readonly address: string;
  /** Absent: not known. */
  readonly cpuFeatures?: string | undefined;
  /** Absent: not known. */
  readonly completionVectors?: string | undefined;
  /** Absent: not known. */
  readonly securityModules?: string | undefined;
  /** The agent's own namespace, where its Lease is. */
  readonly namespace: string;
  /** The network by which a pod that moves here keeps its address, or why it gets another one. Absent: nobody wants to know. */
  readonly podNetwork?:
    ((signal?: AbortSignal) => Promise<PodNetworkDescription | string>) | undefined;
  readonly describe: () => Promise<NodeDescription>;
  /** What the node has for pods that move here. Absent: nobody wants to know. */
  readonly memory?: (() => Promise<NodeMemory | undefined>) | undefined;
}

export class Registration {
  readonly #parts: RegistrationParts;
  #renewedAt: number | undefined;
  #description: NodeDescription | undefined;

  constructor(parts: RegistrationParts) {
    this.#parts = parts;
  }

  /**
   * For /readyz. What the node lacks is no fault of the agent's: with such a node, no update of the DaemonSet would ever reach
   * the others. It is on the Node object, and on the agent's Lease.
   */
  readonly nodeProblem = (): string | undefined =>
    this.#description ? undefined : 'The driver was not looked for yet.';

  /** For /readyz: why the operator takes this agent for gone, or soon will. */
  readonly leaseProblem = (): string | undefined => {
    if (this.#renewedAt === undefined) return 'The Lease was not renewed yet.';
    const seconds = Math.round((this.#parts.clock.now() - this.#renewedAt) / 1000);
    if (seconds <= agentLease.durationSeconds) return undefined;
    return `The API server has taken no renewal of the Lease for ${seconds} s.`;
  };

  /** Registers and renews until the signal aborts. The label stays then: an agent that is replaced comes back at once. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts;
    while (!signal.aborted) {
      try {
        await this.renew(signal);
      } catch (error) {
        if (!signal.aborted) log.warn({ ...reasonOf(error) }, 'node not registered');
      }
      const isFirst = this.#renewedAt === undefined;
      await clock.sleep(isFirst ? 2000 : agentLease.renewSeconds * 1000, signal);
    }
  }

  /** @throws the API server's error */
  async renew(signal?: AbortSignal): Promise<void> {
    const { api, clock, nodeName, namespace } = this.#parts;
    const description = await this.#describe();
    const memory = await this.#memory();
    const now = clock.now();
    const heartbeat = {
      ...{ namespace, name: agentLease.name(nodeName), holder: nodeName },
      durationSeconds: agentLease.durationSeconds,
      labels: { [labels.agent]: 'true', [labels.problem]: description.problem?.code ?? null },
      annotations: {
        [annotations.memory]: memory ? formatNodeMemory(memory, microTime(now)) : null,
      },
    };
    // Before the label: the operator takes away a label that no Lease stands for.
    await renewLease(api, heartbeat, now, { signal });
    await this.#publish(description, signal);
    this.#renewedAt = clock.now();
  }

  /** The Lease is renewed without it, too. */
  async #memory(): Promise<NodeMemory | undefined> {
    try {
      return await this.#parts.memory?.();
    } catch (error) {
      this.#parts.log.warn({ ...reasonOf(error) }, 'memory of the node not read');
      return undefined;
    }
  }

  async #describe(): Promise<NodeDescription> {
    const { describe, log } = this.#parts;
    const before = this.#description?.problem?.message;
    this.#description = await describe();
    const { problem } = this.#description;
    if (problem && problem.message !== before)
      log.error({ ...problem }, 'this node lacks something');
    return this.#description;
  }

  async #publish(
    { driverAbi, problem }: NodeDescription,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { api, nodeName, address, cpuFeatures, completionVectors, securityModules } = this.#parts;
    const { metadata } = await api.get(nodes, '', nodeName, { signal });
    const found = driverAbi === undefined ? undefined : await this.#parts.podNetwork?.(signal);
    const podNetwork = typeof found === 'string' ? undefined : found;
    const wanted = {
      labels: { [labels.driverAbi]: driverAbi, [labels.problem]: problem?.code },
      annotations: {
        [annotations.agentAddress]: address,
        [annotations.cpuFeatures]: cpuFeatures,
        [annotations.completionVectors]: completionVectors,
        [annotations.securityModules]: securityModules,
        [annotations.problem]: problem?.message,
        [annotations.podNetwork]: podNetwork?.network,
        [annotations.podNetworkFamilies]: podNetwork?.families.join(',') || undefined,
        [annotations.podNetworkProblem]: typeof found === 'string' ? found : undefined,
      },
    };
    const isSame =
      contains(metadata.labels, wanted.labels) &&
      contains(metadata.annotations, wanted.annotations);
    if (isSame) return;
    const patch = {
      labels: orNull(wanted.labels),
      annotations: orNull(wanted.annotations),
    };
    await withFaults('node.publish', () =>
      api.merge(nodes, '', nodeName, { metadata: patch }, { signal }),
    );
  }
}

type Wanted = Readonly<Record<string, string | undefined>>;

const contains = (present: Readonly<Record<string, string>>, wanted: Wanted): boolean =>
  Object.entries(wanted).every(([name, value]) => present[name] === value);

/** A merge patch removes what is null. */
const orNull = (wanted: Wanted): Record<string, string | null> =>
  Object.fromEntries(Object.entries(wanted).map(([name, value]) => [name, value ?? null]));

/** Says what a node lacks while no agent runs on it. @throws the API server's error */
export async function publishProblem(api: Api, name: string, problem: Failure): Promise<void> {
  const metadata = {
    labels: { [labels.driverAbi]: null, [labels.problem]: problem.code },
    annotations: { [annotations.problem]: problem.message },
  };
  await api.merge(nodes, '', name, { metadata });
}

/** Takes back what the agent has said about its node. @throws the API server's error */
export async function withdrawNode(api: Api, name: string): Promise<void> {
  const metadata = {
    labels: { [labels.driverAbi]: null, [labels.problem]: null },
    annotations: {
      [annotations.agentAddress]: null,
      [annotations.cpuFeatures]: null,
      [annotations.completionVectors]: null,
      [annotations.securityModules]: null,
      [annotations.problem]: null,
      [annotations.podNetwork]: null,
      [annotations.podNetworkFamilies]: null,
      [annotations.podNetworkProblem]: null,
    },
  };
  await api.merge(nodes, '', name, { metadata });
}
