// SPDX-License-Identifier: Apache-2.0
// Says what a node lacks: all of it, and first what keeps every pod from being moved. registration.ts publishes it with each
// renewal of the agent's Lease.
import { reasonOf, type Failure } from '../../support/errors.ts';
import type { Host } from '../host/host.ts';
import type { NodeDescription } from '../registration.ts';
import type { HandlerOptions } from './containerd-config.ts';
import type { Containerd } from './containerd.ts';
import {
  cgroupProblem,
  driverProblemFile,
  multusProblem,
  nftablesProblem,
  notedProblem,
  programsProblemFile,
  runtimeProblem,
} from './problems.ts';

/** What it asks of the node besides its files. */
export interface Questions {
  /** The runtime as the kubelet reports it, e.g. `containerd://2.4.2`. @throws the API server's error */
  readonly runtimeVersion: () => Promise<string>;
  /** An rdma_rxe is loaded, whoever's. */
  readonly driverLoaded: () => boolean;
  /** Undefined: the driver that is loaded is not of this version of Sealift. */
  readonly loadedAbi: () => Promise<string | undefined>;
  /** @throws AgentError NetnsModeShared */
  readonly checkNetnsMode: () => Promise<void>;
  /** Undefined: as `problems.ts` asks. */
  readonly nft?: (netns: string, commands: string) => Promise<string>;
  readonly containerd?: () => Promise<Pick<Containerd, 'mainFile'>>;
}

export interface DescriberOptions extends HandlerOptions {
  readonly host: Host;
  readonly runDir: string;
  /** The installer adds the runtime handler. */
  readonly configured: boolean;
  /** The command by which the installer runs again. */
  readonly restart: string;
}

export class NodeDescriber {
  readonly #o: DescriberOptions;
  readonly #ask: Questions;
  #hasNftables = false;
  /** The runtime as the kubelet has reported it, if Sealift works with it. */
  #goodVersion: string | undefined;
  /** Reading it takes an RDMA device: so it is read once while a driver is loaded. */
  #abi: string | undefined;

  constructor(options: DescriberOptions, questions: Questions) {
    this.#o = options;
    this.#ask = questions;
  }

  /** The driver's ABI if no problem keeps RDMA pods from being moved; Multus' absence alone does not take it away. */
  async describe(): Promise<NodeDescription> {
    const { host, runDir } = this.#o;
    const machine = [
      await this.#unless(() => notedProblem(programsProblemFile(runDir))),
      cgroupProblem(host),
      await this.#unless(() => this.#runtime()),
      await this.#unless(() => this.#driver()),
      await this.#unless(() => this.#nftables()),
    ].filter((one) => one !== undefined);
    const multus = await this.#unless(() => multusProblem(host));
    return {
      driverAbi: machine.length === 0 ? this.#abi : undefined,
      problem: inOne(multus ? [...machine, multus] : machine),
    };
  }

  /** What could not be asked is a problem, too, and keeps none of the others from being said. */
  async #unless(ask: () => Promise<Failure | undefined>): Promise<Failure | undefined> {
    try {
      return await ask();
    } catch (error) {
      return reasonOf(error);
    }
  }

  /** Whatever manages the node may have written containerd's configuration anew since. */
  async #runtime(): Promise<Failure | undefined> {
    const { host, ...o } = this.#o;
    const runtimeVersion = this.#goodVersion ?? (await this.#ask.runtimeVersion());
    const problem = await runtimeProblem(host, { ...o, runtimeVersion }, this.#ask.containerd);
    this.#goodVersion = problem ? undefined : runtimeVersion;
    return problem;
  }

  async #driver(): Promise<Failure | undefined> {
    if (!this.#ask.driverLoaded()) {
      this.#abi = undefined;
      return this.#notedDriver();
    }
    await this.#ask.checkNetnsMode();
    this.#abi ??= await this.#ask.loadedAbi();
    return this.#abi === undefined ? this.#notedDriver() : undefined;
  }

  /** What `install` has said about the driver on this node, e.g. that there is none for its kernel. */
  async #notedDriver(): Promise<Failure> {
    const noted = await notedProblem(driverProblemFile(this.#o.runDir));
    const message = 'The rdma_rxe of this version of Sealift is not loaded on this node.';
    return noted ?? { code: 'DriverMissing', message };
  }

  /** It does not come and go: a kernel that had it keeps it. */
  async #nftables(): Promise<Failure | undefined> {
    if (this.#hasNftables) return undefined;
    const problem = await nftablesProblem(this.#ask.nft);
    this.#hasNftables = problem === undefined;
    return problem;
  }
}

/** The label is the first reason; the sentence has all of them. Pure. */
export function inOne(problems: readonly Failure[]): Failure | undefined {
  const [first] = problems;
  if (!first || problems.length === 1) return first;
  const message = problems.map((one) => `${one.code}: ${one.message}`).join(' ');
  return { code: first.code, message };
}
