// SPDX-License-Identifier: Apache-2.0
// Answers the network probes of the pods that this agent keeps locked: a responder on the node, and the rules that hand
// the kubelet's connections to it. Which pods these are is in the journal; agent.ts says so at every change.
import { access } from 'node:fs/promises';
import type { Logger, Pod } from '../../../../kube/src/index.ts';
import type { InterfaceInfo } from '../../../../native/addon/index.ts';
import { AgentError, isErrno, reasonOf } from '../../support/errors.ts';
import type { Nft } from '../lock/network-lock.ts';
import { openProbesEnd } from './open-probes.ts';
import { probedPorts, type ProbedPorts } from './probed-ports.ts';
import {
  ELEMENT_SECONDS,
  redirectCommands,
  removeRedirectCommands,
  type RedirectedPort,
  type ResponderPorts,
} from './redirect.ts';
import { ProbeResponder, type KeyPair } from './responder.ts';

/** The network namespace of the node: the agent and the kubelet are in it. */
const NODE_NETNS = '/proc/self/ns/net';
const NODE_SOCKETS = '/proc/self/net';
/** The runtimes' name for a pod's interface in the cluster's network. */
const CLUSTER_INTERFACE = 'eth0';
const RENEW_MS = (ELEMENT_SECONDS * 1000) / 3;

/** The network probes of a pod, as the journal keeps them. */
export interface PodProbes extends ProbedPorts {
  /** The pod's addresses in the cluster's network. */
  addresses: string[];
}

/** A pod whose probes the agent answers. */
export interface ProbedPod extends PodProbes {
  /** Path of its network namespace. Once it is gone, another pod may get the addresses. */
  netns?: string | undefined;
}

export interface ProbeAnswersParts {
  nft: Nft;
  interfaceInfo: (netns: string, ifname: string) => Promise<Pick<InterfaceInfo, 'addresses'>>;
  certificate: () => Promise<KeyPair>;
  log: Pick<Logger, 'warn'>;
}

export class ProbeAnswers {
  readonly #parts: ProbeAnswersParts;
  readonly #responder: ProbeResponder;
  /** Where the responder listens, once it does. */
  #ports: ResponderPorts | undefined;
  #wanted: readonly ProbedPod[] = [];
  /** Whether the table may be there; a former agent may have left it. */
  #hasTable = true;
  /** The latest change of the rules. One at a time. */
  #change: Promise<void> = Promise.resolve();
  #hasFailed = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: ProbeAnswersParts) {
    this.#parts = parts;
    this.#responder = new ProbeResponder({
      certificate: parts.certificate,
      isProbe: (name) => this.#wanted.some(({ userAgents }) => userAgents.includes(name)),
    });
  }

  /**
   * The network probes of a pod; undefined if it has none.
   * @throws NativeError ENOENT, EINVAL, NoSuchInterface
   */
  async probesOf(netns: string, pod: Pod): Promise<PodProbes | undefined> {
    const probed = probedPorts(pod);
    if (!probed) return undefined;
    const { addresses } = await this.#parts.interfaceInfo(netns, CLUSTER_INTERFACE);
    const global = addresses.map(({ address }) => address).filter((one) => !/^fe80:/i.test(one));
    return { ...probed, addresses: global };
  }

  /** Answers for these pods from now on, and for no others. `inPlace` resolves when that is so. */
  answerFor(pods: readonly ProbedPod[]): void {
    if (JSON.stringify(pods) === JSON.stringify(this.#wanted)) return;
    this.#wanted = pods;
    this.#apply();
  }

  /** Removes what a former agent has left, unless the journal wants it. */
  start(): void {
    if (this.#wanted.length === 0) this.#enqueue(() => this.#removeTable());
  }

  /** Resolves once the rules are as `answerFor` has asked last. Tries again what has failed. @throws AgentError LockFailed */
  async inPlace(): Promise<void> {
    if (this.#hasFailed) this.#apply();
    await this.#change;
  }

  /**
   * Resolves when the probes that the pod itself is still to answer have ended, or the kubelet has given them up. Call it
   * once the rules are in place: from then on none begins.
   */
  async openProbesEnd(probes: PodProbes, signal?: AbortSignal): Promise<void> {
    await openProbesEnd(probes, NODE_SOCKETS, signal);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#wanted = [];
    this.#enqueue(() => this.#removeTable());
    await this.#change.catch(() => undefined);
    await this.#responder.close();
  }

  #apply(): void {
    if (this.#wanted.length > 0) {
      this.#timer ??= setInterval(() => this.#renew(), RENEW_MS).unref();
    }
    this.#enqueue(async () => {
      if (this.#wanted.length === 0 && !this.#hasTable) return;
      const pods = await whereNetnsExists(this.#wanted);
      this.#ports ??= await this.#responder.listen();
      this.#hasTable = true;
      await this.#nft(redirectCommands(targetsOf(pods), this.#ports));
    });
  }

  /** Before the elements time out. A table without any is removed only now: what was redirected has ended by then. */
  #renew(): void {
    if (this.#wanted.length > 0) {
      this.#apply();
      return;
    }
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#enqueue(() => this.#removeTable());
  }

  async #removeTable(): Promise<void> {
    if (this.#wanted.length > 0) return;
    await this.#nft(removeRedirectCommands());
    this.#hasTable = false;
  }

  #enqueue(work: () => Promise<void>): void {
    this.#hasFailed = false;
    this.#change = this.#change.catch(() => undefined).then(work);
    this.#change.catch((error: unknown) => {
      this.#hasFailed = true;
      this.#parts.log.warn({ ...reasonOf(error) }, 'probes of locked pods are not answered');
    });
  }

  async #nft(commands: string): Promise<void> {
    try {
      await this.#parts.nft(NODE_NETNS, commands);
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new AgentError(
        'LockFailed',
        `The agent cannot redirect the kubelet's probes with nftables: ${message}. Check that the kernel has nft_redir.`,
        { cause },
      );
    }
  }
}

function targetsOf(pods: readonly ProbedPod[]): RedirectedPort[] {
  const targets = new Map<string, RedirectedPort>();
  for (const { addresses, ports } of pods) {
    for (const address of addresses) {
      for (const port of ports) targets.set(`${address} ${port}`, { address, port });
    }
  }
  return [...targets.values()];
}

async function whereNetnsExists(pods: readonly ProbedPod[]): Promise<ProbedPod[]> {
  const kept: ProbedPod[] = [];
  for (const pod of pods) {
    try {
      if (pod.netns !== undefined) await access(pod.netns);
      kept.push(pod);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) kept.push(pod);
    }
  }
  return kept;
}
