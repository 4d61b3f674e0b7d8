// SPDX-License-Identifier: Apache-2.0
// The simulated cluster: an API server, an operator, two nodes with their agents and kubelets, a scheduler.
import { agentLease, annotations, formatNodeMemory, labels } from '../../crds/src/index.ts';
import { FaultError, ownFaults, timestamp, type Logger } from '../../kube/src/index.ts';
import { runAgent } from './agent-process.ts';
import type { StoredObject } from './api/objects.ts';
import { decisionOf } from './api/rules.ts';
import { ApiServer } from './api/server.ts';
import { Store } from './api/store.ts';
import { app, Applications, furtherApps, makeRunningPod } from './application.ts';
import { Network } from './network.ts';
import { Kernel } from './node/kernel.ts';
import { Kubelet, type KubeletHooks } from './node/kubelet.ts';
import { Machine, type Container } from './node/machine.ts';
import { agentNamespace, runOperator } from './operator-process.ts';
import { never, Process } from './process.ts';
import { Random } from './random.ts';
import { Scheduler } from './scheduler.ts';
import { Timeline } from './timeline.ts';
import { namespace } from './user.ts';

/** Virtual time at which every run begins, in milliseconds since the epoch. */
export const startMs = Date.parse('2026-01-01T00:00:00Z');

/** The node on which the pod runs first, and the one to which it moves. */
export const sourceNode = 'a';
export const targetNode = 'b';

interface Node {
  readonly machine: Machine;
  kubelet: Kubelet;
  agent: Process | undefined;
}

/** Which process: the operator, or the agent of a node. */
export type ProcessKey = 'operator' | { readonly agent: string };

/** Drops what it is given without formatting it. */
const nothing = (): void => undefined;
const quiet = {
  ...{ child: () => quiet, fatal: nothing, error: nothing, warn: nothing },
  ...{ info: nothing, debug: nothing, trace: nothing },
} as unknown as Logger;

export interface SimulationOptions {
  readonly seed: number;
  /** Of a pod. Absent: 1. */
  readonly containers?: number | undefined;
  /** How long a dump takes, in milliseconds. */
  readonly dumpMs?: number | undefined;
  /** Four pods run, not one. */
  readonly several?: boolean;
  readonly log?: ((process: string) => Logger) | undefined;
  readonly hooks?: Pick<KubeletHooks, 'restored'> | undefined;
  /** A process passes a fault point. The process may be dead when this returns. */
  onPoint?(name: string): void;
}

/** Which no agent renews here: that would be most of a run's steps. It says how much memory the node has. */
function lease(node: string): StoredObject {
  const renewTime = timestamp(startMs);
  const has = { available: 2 ** 34, hugePages: new Map<number, number>(), keepsImages: false };
  return {
    ...{ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' },
    metadata: {
      ...{ name: agentLease.name(node), namespace: agentNamespace },
      labels: { [labels.agent]: 'true' },
      annotations: { [annotations.memory]: formatNodeMemory(has, renewTime) },
    },
    spec: { holderIdentity: node, leaseDurationSeconds: 1e9, renewTime },
  } as unknown as StoredObject;
}

export class Simulation {
  readonly timeline: Timeline;
  readonly store: Store;
  readonly server: ApiServer;
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly kernel: Kernel;
  readonly applications: Applications;
  readonly machines = new Map<string, Machine>();
  /** What the next attempts of CRIU and the freezer do, on any node. */
  readonly nodeFaults = {
    ...{ dumpFails: false, dumpFills: false, dumpHangs: false, freezeFails: false },
    ...{ restoreFails: false, restoreHangs: false, endsAtGate: false },
  };
  /** The next fault point that a process passes throws. */
  nextPointThrows = false;
  readonly #nodes = new Map<string, Node>();
  readonly #log: (process: string) => Logger;
  readonly #options: SimulationOptions;
  readonly #processes: Process[] = [];
  /** By the name of the process. */
  readonly #skews = new Map<string, number>();
  #operator: Process | undefined;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#log = options.log ?? (() => quiet);
    const random = new Random(options.seed);
    this.timeline = new Timeline(startMs, random);
    this.store = new Store(random, () => this.timeline.now);
    this.applications = new Applications(this.store);
    this.server = new ApiServer(this.timeline, this.store);
    this.scheduler = new Scheduler(this.store, this.timeline);
    this.network = new Network(this.timeline);
    this.kernel = new Kernel(this.timeline, this.machines);
    const namespace = { name: 'default', namespace: '' };
    this.store.create({ apiVersion: 'v1', kind: 'Namespace', metadata: namespace }, { by: 'user' });
    for (const name of [sourceNode, targetNode]) this.#addNode(name);
    for (const name of [sourceNode, targetNode]) this.store.create(lease(name), { by: 'user' });
  }

  /**
   * Replaces the clock, the kernel and the fault points of this Node.js process by the simulated ones. Only one
   * simulation at a time may be installed. @returns ends the simulation and undoes this
   */
  install(): () => Promise<void> {
    const { now } = Date;
    const monotonic = performance.now.bind(performance);
    const skew = (): number => this.timeline.currentProcess?.skewMs ?? 0;
    Date.now = () => Math.floor(this.timeline.now + skew());
    performance.now = () => this.timeline.now - startMs + skew();
    this.kernel.install();
    ownFaults((name) => this.#passPoint(name));
    return async () => {
      this.#end();
      // Promises that this has settled must not run in the next simulation.
      await new Promise((resolve) => setImmediate(resolve));
      Date.now = now;
      performance.now = monotonic;
      ownFaults(undefined);
    };
  }

  /** Starts the pods, then scheduler, operator and agents. */
  start(podAnnotations: Readonly<Record<string, string>> = {}): void {
    this.scheduler.start();
    this.store.onChange(({ before, after }) => {
      if (after && decisionOf(after) && !decisionOf(before))
        this.#options.onPoint?.('api.decision');
    });
    const { containers = 1, several = false } = this.#options;
    const apps = { [app]: sourceNode, ...(several ? furtherApps : {}) };
    for (const [name, node] of Object.entries(apps))
      makeRunningPod(this.store, this.node(node).machine, name, containers, podAnnotations);
    this.startOperator();
    for (const name of this.#nodes.keys()) this.startAgent(name);
  }

  nodes(): Iterable<Node> {
    return this.#nodes.values();
  }

  node(name: string): Node {
    const node = this.#nodes.get(name);
    if (!node) throw new Error(`no node ${name}`);
    return node;
  }

  process(key: ProcessKey): Process | undefined {
    return key === 'operator' ? this.#operator : this.node(key.agent).agent;
  }

  startOperator(): void {
    if (this.#operator?.alive === true) return;
    const process = this.#newProcess('operator');
    this.#operator = process;
    process.spawn(async () => {
      await runOperator(process, this.server, this.#log('operator'));
      // It has lost its lease.
      process.kill();
      this.timeline.after(1000, () => this.startOperator());
    });
  }

  startAgent(name: string): void {
    const node = this.node(name);
    if (node.agent?.alive === true) return;
    const process = this.#newProcess(`agent/${name}`);
    node.agent = process;
    const { machine } = node;
    const { server, network, kernel, nodeFaults } = this;
    const [log, { dumpMs }] = [this.#log(process.name), this.#options];
    const parts = { machine, server, network, kernel, nodeFaults, dumpMs, log };
    process.spawn(() => runAgent(process, parts));
  }

  crash(key: ProcessKey, forMs: number): void {
    this.process(key)?.kill();
    this.timeline.after(forMs, () => {
      if (key === 'operator') this.startOperator();
      else this.startAgent(key.agent);
    });
  }

  /** An agent's pod is deleted, and another one starts after that long. */
  async updateAgent(name: string, forMs: number): Promise<void> {
    const process = this.process({ agent: name });
    await process?.finish();
    process?.kill();
    this.timeline.after(forMs, () => this.startAgent(name));
  }

  pause(key: ProcessKey, forMs: number): void {
    const process = this.process(key);
    if (process) process.pausedUntil = this.timeline.now + forMs;
  }

  /** Sets the clock of a process, and of those that replace it, wrong by that much. */
  skew(name: string, byMs: number): void {
    this.#skews.set(name, byMs);
    for (const process of [this.#operator, ...[...this.#nodes.values()].map((one) => one.agent)]) {
      if (process?.name === name) process.skewMs = byMs;
    }
  }

  /** A node loses its power and boots again after that long. */
  reset(name: string, forMs: number): void {
    const node = this.node(name);
    node.agent?.kill();
    node.kubelet.stop();
    node.machine.reset();
    const { boot } = node.machine;
    this.timeline.after(forMs, () => {
      // The node has lost its power once more.
      if (node.machine.boot !== boot) return;
      node.kubelet = this.#newKubelet(node.machine);
      node.kubelet.start();
      this.startAgent(name);
    });
  }

  /** The application of a container ends by itself. */
  killApplication(container: Container): void {
    for (const { machine, kubelet } of this.#nodes.values()) {
      if (machine.containers.get(container.id) !== container) continue;
      machine.onRemove?.(container);
      container.state = 'Dead';
      container.stop.abort();
      kubelet.containerEnded(container.podUid);
    }
  }

  /** Ends every fault that lasts, and cancels those that wait for their occasion. */
  heal(): void {
    this.server.heal();
    this.network.heal();
    this.scheduler.isFull = this.nextPointThrows = false;
    this.network.damagesNext = false;
    this.kernel.holdFails = false;
    for (const fault of Object.keys(this.nodeFaults) as (keyof typeof this.nodeFaults)[])
      this.nodeFaults[fault] = false;
    for (const { disk } of this.machines.values()) disk.heal();
  }

  pod(name: string): StoredObject | undefined {
    return this.store.find('Pod', namespace, name);
  }

  /** Node.js keeps a signal that depends on others until one of them aborts, and with it the whole simulation. */
  #end(): void {
    for (const process of this.#processes) process.kill();
    this.timeline.currentProcess = undefined;
    for (const process of this.#processes) process.stop.abort();
  }

  #newProcess(name: string): Process {
    const process = new Process(name, this.timeline);
    process.skewMs = this.#skews.get(name) ?? 0;
    this.#processes.push(process);
    return process;
  }

  async #passPoint(name: string): Promise<void> {
    this.#options.onPoint?.(name);
    if (this.timeline.currentProcess?.alive === false) return never();
    if (!this.nextPointThrows) return;
    this.nextPointThrows = false;
    throw new FaultError(name);
  }

  #addNode(name: string): void {
    const machine = new Machine(name, this.timeline);
    this.machines.set(name, machine);
    this.#nodes.set(name, { machine, kubelet: this.#newKubelet(machine), agent: undefined });
    const metadata = {
      name,
      namespace: '',
      labels: { [labels.driverAbi]: 'rxe-1' },
      annotations: { [annotations.agentAddress]: `${name}:7460` },
    };
    const status = { conditions: [{ type: 'Ready', status: 'True' }] };
    this.store.create({ apiVersion: 'v1', kind: 'Node', metadata, status }, { by: 'user' });
  }

  #newKubelet(machine: Machine): Kubelet {
    return new Kubelet(machine, this.server, this.nodeFaults, {
      applicationOf: ({ metadata }) => this.applications.of(metadata.uid) ?? metadata.name,
      ...this.#options.hooks,
    });
  }
}
