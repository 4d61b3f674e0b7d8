// SPDX-License-Identifier: Apache-2.0
// Registers this node with the operator: the driver's ABI as a label of the Node object, the agent's address as an
// annotation, and a Lease that says that the agent is alive. The operator chooses nodes by all three, and takes the label away
// when the Lease has run out.
import { agentLease, annotations, labels } from '../../../crds/src/index.ts';
import {
  nodes,
  renewLease,
  withFaults,
  type Api,
  type Clock,
  type Logger,
} from '../../../kube/src/index.ts';
import { reasonOf } from '../support/errors.ts';

export interface RegistrationParts {
  readonly api: Api;
  readonly clock: Clock;
  readonly log: Logger;
  readonly nodeName: string;
  /** `host:port` of the image receiver. */
  readonly address: string;
  /** The agent's own namespace, where its Lease is. */
  readonly namespace: string;
  /**
   * The ABI of the driver, for instance `rxe-2`. Without one the label is removed, and the operator moves no pod to or from
   * this node.
   * @param known what it returned last; undefined after it has thrown
   * @throws why there is none
   */
  readonly driverAbi: (known: string | undefined) => Promise<string>;
}

export class Registration {
  readonly #parts: RegistrationParts;
  #renewedAt: number | undefined;
  #driverAbi: string | undefined;
  #driverProblem: string | undefined = 'The driver was not looked for yet.';

  constructor(parts: RegistrationParts) {
    this.#parts = parts;
  }

  /** For /readyz: why no pod can be moved to or from this node. */
  readonly driverProblem = (): string | undefined => this.#driverProblem;

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
    const abi = await this.#findDriver();
    const heartbeat = {
      ...{ namespace, name: agentLease.name(nodeName), holder: nodeName },
      ...{ durationSeconds: agentLease.durationSeconds, labels: { [labels.agent]: 'true' } },
    };
    // Before the label: the operator takes away a label that no Lease stands for.
    await renewLease(api, heartbeat, clock.now(), { signal });
    await this.#publish(abi, signal);
    this.#renewedAt = clock.now();
  }

  async #findDriver(): Promise<string | undefined> {
    const { driverAbi, log } = this.#parts;
    const before = this.#driverProblem;
    try {
      this.#driverAbi = await driverAbi(this.#driverAbi);
      this.#driverProblem = undefined;
    } catch (error) {
      const reason = reasonOf(error);
      this.#driverProblem = reason.message;
      if (before !== reason.message) log.error({ ...reason }, 'driver not available');
      this.#driverAbi = undefined;
    }
    return this.#driverAbi;
  }

  async #publish(abi: string | undefined, signal: AbortSignal | undefined): Promise<void> {
    const { api, nodeName, address } = this.#parts;
    const { metadata } = await api.get(nodes, '', nodeName, { signal });
    const isSame =
      metadata.labels[labels.driverAbi] === abi &&
      metadata.annotations[annotations.agentAddress] === address;
    if (isSame) return;
    const patch = {
      labels: { [labels.driverAbi]: abi ?? null },
      annotations: { [annotations.agentAddress]: address },
    };
    await withFaults('node.publish', () =>
      api.merge(nodes, '', nodeName, { metadata: patch }, { signal }),
    );
  }
}
