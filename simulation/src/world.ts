// SPDX-License-Identifier: Apache-2.0
// The cluster: an API server, an operator, two nodes with their agents and kubelets, a scheduler, a user.
import { annotations, labels, RUNTIME_CLASS } from '../../crds/src/index.ts';
import { ApiError, FaultError, ownFaults, type Logger } from '../../kube/src/index.ts';
import { runAgent } from './agent-process.ts';
import type { Stored } from './api/objects.ts';
import { decisionOf } from './api/rules.ts';
import { ApiServer } from './api/server.ts';
import { Store } from './api/store.ts';
import { Network } from './network.ts';
import { Kernel } from './node/kernel.ts';
import { Kubelet, madeBy, type KubeletHooks } from './node/kubelet.ts';
import { Machine, type Container } from './node/machine.ts';
import { runOperator } from './operator-process.ts';
import { never, Process } from './process.ts';
import { Random } from './random.ts';
import { Timeline } from './timeline.ts';

export const began = Date.parse('2026-01-01T00:00:00Z');
export const namespace = 'default';

interface Node {
  readonly machine: Machine;
  kubelet: Kubelet;
  agent: Process | undefined;
}

/** Says nothing, and costs nothing. */
const nothing = (): void => undefined;
const quiet = {
  ...{ child: () => quiet, fatal: nothing, error: nothing, warn: nothing },
  ...{ info: nothing, debug: nothing, trace: nothing },
} as unknown as Logger;

export interface WorldOptions {
  readonly seed: number;
  /** Of the pod. */
  readonly containers?: number | undefined;
  readonly log?: ((process: string) => Logger) | undefined;
  readonly hooks?: Pick<KubeletHooks, 'restored'> | undefined;
  /** Passing a point; the process may be dead when it returns. */
  onPoint?(name: string): void;
}

export class Simulation {
  readonly timeline: Timeline;
  readonly store: Store;
  readonly server: ApiServer;
  readonly network: Network;
  readonly kernel: Kernel;
  readonly machines = new Map<string, Machine>();
  readonly luck = {
    ...{ dumpFails: false, dumpHangs: false, freezeFails: false },
    ...{ restoreFails: false, restoreHangs: false, endsAtGate: false },
  };
  /** The scheduler finds no room. */
  isFull = false;
  /** The next fault point that is passed throws. */
  throws = false;
  readonly #nodes = new Map<string, Node>();
  readonly #log: (process: string) => Logger;
  readonly #options: WorldOptions;
  readonly #processes: Process[] = [];
  readonly #skews = new Map<string, number>();
  #operator: Process | undefined;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#log = options.log ?? (() => quiet);
    const random = new Random(options.seed);
    this.timeline = new Timeline(began, random);
    this.store = new Store(random, () => this.timeline.now);
    this.server = new ApiServer(this.timeline, this.store);
    this.network = new Network(this.timeline);
    this.kernel = new Kernel(this.timeline, this.machines);
    for (const name of ['a', 'b']) this.#addNode(name);
  }

  /** Becomes what the product's code runs in: one world at a time. @returns undoes it. */
  enter(): () => Promise<void> {
    const { now } = Date;
    const monotonic = performance.now.bind(performance);
    const skew = (): number => this.timeline.current?.skewMs ?? 0;
    Date.now = () => Math.floor(this.timeline.now + skew());
    performance.now = () => this.timeline.now - began + skew();
    this.kernel.install();
    ownFaults((name) => this.#pass(name));
    return async () => {
      this.#end();
      // What that wakes must not run in the next world.
      await new Promise((resolve) => setImmediate(resolve));
      Date.now = now;
      performance.now = monotonic;
      ownFaults(undefined);
    };
  }

  /**
   * Two nodes, and a pod that runs on the first.
   * @param notes the pod's annotations
   */
  begin(notes: Readonly<Record<string, string>> = {}): void {
    this.store.onChange(({ before, after }) => {
      if (after?.kind === 'Pod' && !before) this.#schedule(after);
      if (after && decisionOf(after) && !decisionOf(before))
        this.#options.onPoint?.('api.decision');
    });
    this.#runningPod(notes);
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

  process(of: 'operator' | { agent: string }): Process | undefined {
    return of === 'operator' ? this.#operator : this.node(of.agent).agent;
  }

  startOperator(): void {
    if (this.#operator?.alive === true) return;
    const process = this.#newProcess('operator');
    this.#operator = process;
    process.spawn(async () => {
      await runOperator(process, this.server, this.#log('operator'));
      // The lease is lost.
      process.kill();
      this.timeline.after(1000, () => this.startOperator());
    });
  }

  startAgent(name: string): void {
    const node = this.node(name);
    if (node.agent?.alive === true) return;
    const process = this.#newProcess(`agent/${name}`);
    node.agent = process;
    const { server, network, kernel, luck } = this;
    const log = this.#log(process.name);
    process.spawn(() => runAgent(process, node.machine, { server, network, kernel, luck, log }));
  }

  crash(of: 'operator' | { agent: string }, forMs: number): void {
    this.process(of)?.kill();
    this.timeline.after(forMs, () => {
      if (of === 'operator') this.startOperator();
      else this.startAgent(of.agent);
    });
  }

  pause(of: 'operator' | { agent: string }, forMs: number): void {
    const process = this.process(of);
    if (process) process.pausedUntil = this.timeline.now + forMs;
  }

  /** The clock of a process, and of those that take its place, goes wrong. */
  skew(name: string, byMs: number): void {
    this.#skews.set(name, byMs);
    for (const process of [this.#operator, ...[...this.#nodes.values()].map((one) => one.agent)]) {
      if (process?.name === name) process.skewMs = byMs;
    }
  }

  reset(name: string, forMs: number): void {
    const node = this.node(name);
    node.agent?.kill();
    node.kubelet.stop();
    node.machine.reset();
    const { boot } = node.machine;
    this.timeline.after(forMs, () => {
      // It may have lost its power again.
      if (node.machine.boot !== boot) return;
      node.kubelet = this.#kubelet(node.machine);
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
      kubelet.ended(container.podUid);
    }
  }

  heal(): void {
    this.server.heal();
    this.network.heal();
    this.isFull = this.throws = false;
    this.network.damages = false;
    this.kernel.holdFails = false;
    for (const what of Object.keys(this.luck) as (keyof typeof this.luck)[])
      this.luck[what] = false;
  }

  /** Something that a user does; what the server refuses is their affair. */
  user(work: (store: Store) => unknown): void {
    try {
      work(this.store);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  }

  pod(name: string): Stored | undefined {
    return this.store.find('Pod', namespace, name);
  }

  /** Node.js keeps a signal that is made of others until one of them aborts, and with it the whole world. */
  #end(): void {
    for (const process of this.#processes) process.kill();
    this.timeline.current = undefined;
    for (const process of this.#processes) process.stop.abort();
  }

  #newProcess(name: string): Process {
    const process = new Process(name, this.timeline);
    process.skewMs = this.#skews.get(name) ?? 0;
    this.#processes.push(process);
    return process;
  }

  async #pass(name: string): Promise<void> {
    this.#options.onPoint?.(name);
    if (this.timeline.current?.alive === false) return never();
    if (!this.throws) return;
    this.throws = false;
    throw new FaultError(name);
  }

  #addNode(name: string): void {
    const machine = new Machine(name, this.timeline);
    this.machines.set(name, machine);
    this.#nodes.set(name, { machine, kubelet: this.#kubelet(machine), agent: undefined });
    const metadata = {
      name,
      namespace: '',
      labels: { [labels.driverAbi]: 'rxe-1' },
      annotations: { [annotations.agentAddress]: `${name}:7460` },
    };
    const status = { conditions: [{ type: 'Ready', status: 'True' }] };
    this.store.create(
      { apiVersion: 'v1', kind: 'Node', metadata, status },
      {
        by: 'user',
      },
    );
  }

  #kubelet(machine: Machine): Kubelet {
    return new Kubelet(machine, this.server, this.luck, {
      lineageOf: (pod) => this.#lineageOf(pod),
      ...this.#options.hooks,
    });
  }

  /**
   * A moved pod is the same application, and so is one that is made in the place of a source that was lost; any other
   * restored one is another from then on.
   */
  #lineageOf(pod: Stored): string {
    const made = madeBy(pod);
    if (made === undefined) return 'app';
    const copies = this.store.all('RestoreRequest').filter((one) => one.metadata.uid === made);
    if (copies.some((one) => one.metadata.annotations?.[annotations.requestUid])) return 'app';
    const isCopy = pod.metadata.annotations?.[annotations.restore] !== undefined;
    const [move] = this.store.all('MigrationRequest').filter((one) => one.metadata.uid === made);
    return isCopy || !move ? `copy-${made}` : 'app';
  }

  #runningPod(notes: Readonly<Record<string, string>>): void {
    const count = this.#options.containers ?? 1;
    const sidecars = count > 1 ? ['side'] : [];
    const containers = count > 2 ? ['main', 'more'] : ['main'];
    const running = (one: string) => ({
      ...{ name: one, ready: true, started: true, state: { running: {} } },
    });
    const pod = this.store.create(
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'app', namespace, labels: { app: 'x' }, annotations: { ...notes } },
        spec: {
          nodeName: 'a',
          runtimeClassName: RUNTIME_CLASS,
          containers: containers.map((one) => ({ name: one })),
          initContainers: sidecars.map((one) => ({ name: one, restartPolicy: 'Always' })),
        },
        status: {
          phase: 'Running',
          containerStatuses: containers.map(running),
          initContainerStatuses: sidecars.map(running),
        },
      },
      { by: 'user' },
    );
    const { machine } = this.node('a');
    const sandbox = machine.newSandbox(pod.metadata.uid, 'app');
    Object.assign(sandbox, { connected: true, device: { name: 'rxe0', held: false } });
    for (const one of [...sidecars, ...containers]) {
      const memory = { lineage: 'app', done: 0 };
      Object.assign(machine.newContainer(sandbox, one), {
        state: 'Running',
        started: true,
        memory,
      });
    }
  }

  #schedule({ metadata, spec }: Stored): void {
    if (spec?.['nodeName'] !== undefined) return;
    const of = { kind: 'Pod', namespace: metadata.namespace, name: metadata.name };
    const by = { by: 'scheduler' };
    this.timeline.after(this.timeline.jitter(5, 100), () => {
      this.user((store) => {
        const nodeName = /"values":\["([^"]+)"\]/.exec(JSON.stringify(spec))?.[1] ?? 'b';
        if (!this.isFull)
          return store.merge(of, { metadata: { uid: metadata.uid }, spec: { nodeName } }, by);
        const lastTransitionTime = new Date(this.timeline.now).toISOString();
        const reason = { status: 'False', reason: 'Unschedulable', lastTransitionTime };
        const conditions = [{ type: 'PodScheduled', ...reason }];
        return store.merge(of, { status: { phase: 'Pending', conditions } }, by);
      });
    });
  }
}
