// SPDX-License-Identifier: Apache-2.0
// Injects the faults of a schedule into a simulation, each at its fault point or step.
import type { StoredObject } from './api/objects.ts';
import { app } from './application.ts';
import type { Monitor } from './monitor.ts';
import type { Fault, Schedule, Who } from './schedule.ts';
import { sourceNode, targetNode, type ProcessKey, type Simulation } from './simulation.ts';
import { asUser, namespace } from './user.ts';

const requestKinds = ['MigrationRequest', 'CheckpointRequest', 'RestoreRequest'];

export class FaultInjector {
  readonly #simulation: Simulation;
  readonly #monitor: Monitor;
  #pending: Fault[];
  readonly #passCounts = new Map<string, number>();
  /** Virtual time at which the last of the faults that have begun ends. */
  endsAt = 0;
  /** UIDs of pods that the user has deleted: none of them has to run in the end. */
  readonly deletedPods = new Set<string>();
  readonly #struck = new Set<Fault>();

  constructor(simulation: Simulation, monitor: Monitor, schedule: Schedule) {
    this.#simulation = simulation;
    this.#monitor = monitor;
    this.#pending = [...schedule.faults];
  }

  /** Those of these faults that never struck: their occasion has not come. */
  missed(faults: readonly Fault[]): Fault[] {
    return faults.filter((fault) => !this.#struck.has(fault));
  }

  /** Injects no further fault. */
  stop(): void {
    this.#pending = [];
  }

  /** A process passes a fault point. */
  pointPassed(point: string): void {
    const count = (this.#passCounts.get(point) ?? 0) + 1;
    this.#passCounts.set(point, count);
    this.#injectDue(({ when }) => 'point' in when && when.point === point && when.nth === count);
  }

  stepDone(): void {
    const { steps } = this.#simulation.timeline;
    this.#injectDue(({ when }) => 'step' in when && when.step <= steps);
  }

  #injectDue(isDue: (fault: Fault) => boolean): void {
    if (this.#pending.length === 0) return;
    const due = this.#pending.filter(isDue);
    if (due.length === 0) return;
    this.#pending = this.#pending.filter((fault) => !due.includes(fault));
    for (const fault of due) {
      this.#struck.add(fault);
      this.endsAt = Math.max(this.endsAt, this.#simulation.timeline.now + fault.forMs);
      this.#inject(fault);
    }
  }

  #inject({ what, forMs }: Fault): void {
    const simulation = this.#simulation;
    const { server, network } = simulation;
    switch (what.do) {
      case 'crash':
        return simulation.crash(processKeyOf(what.who), forMs);
      case 'update':
        return void simulation.updateAgent(nodeOf(what.who), forMs);
      case 'pause':
        return simulation.pause(processKeyOf(what.who), forMs);
      case 'skew':
        return simulation.skew(nameOf(what.who), what.byMs);
      case 'cutApi':
      case 'slowApi':
      case 'lagWatch':
      case 'breakWatch':
      case 'repeatEvents':
        return this.#disturbConnection(what.do, nameOf(what.who), forMs);
      case 'stopApi':
        return server.stop(forMs);
      case 'compact':
        simulation.store.compact();
        return server.breakWatches();
      case 'touch':
        return this.#touch();
      case 'cutAgents':
        return network.cut(forMs);
      case 'reset':
        return this.#reset(what.who, forMs);
      case 'diskFull':
        return simulation.node(nodeOf(what.who)).machine.disk.fill(forMs);
      case 'diskReadOnly':
        return simulation.node(nodeOf(what.who)).machine.disk.makeReadOnly(forMs);
      case 'restartKubelet':
        return simulation.node(nodeOf(what.who)).kubelet.restart();
      default:
        if (!this.#setNextFailure(what.do)) this.#actAsUser(what.do);
    }
  }

  /** Lets the next attempt at something fail. @returns whether `what` is such a fault */
  #setNextFailure(what: string): boolean {
    const simulation = this.#simulation;
    switch (what) {
      case 'damageImage':
        simulation.network.damagesNext = true;
        return true;
      case 'holdFails':
        simulation.kernel.holdFails = true;
        return true;
      case 'dumpFails':
      case 'dumpFills':
      case 'dumpHangs':
      case 'freezeFails':
      case 'restoreFails':
      case 'restoreHangs':
      case 'endsAtGate':
        simulation.nodeFaults[what] = true;
        return true;
      case 'unschedulable':
        simulation.scheduler.isFull = true;
        return true;
      case 'throw':
        simulation.nextPointThrows = true;
        return true;
      default:
        return false;
    }
  }

  #disturbConnection(what: string, client: string, forMs: number): void {
    const { server } = this.#simulation;
    switch (what) {
      case 'cutApi':
        return server.connection(client).cut(forMs);
      case 'slowApi':
        return server.connection(client).slowDown(forMs, 3000);
      case 'lagWatch':
        return server.connection(client).delayWatches(forMs, forMs);
      case 'breakWatch':
        return server.breakWatches(client);
      default:
        return server.repeatEvents(client);
    }
  }

  #actAsUser(what: string): void {
    const simulation = this.#simulation;
    const last = requestKinds.flatMap((kind) => simulation.store.all(kind)).at(-1);
    const request = { kind: last?.kind ?? '', namespace, name: last?.metadata.name ?? '' };
    const by = { by: 'user' };
    const { store } = simulation;
    switch (what) {
      case 'cancel':
        return asUser(() => store.merge(request, { spec: { cancel: true } }, by));
      case 'deleteRequest':
        return asUser(() => store.delete(request, undefined, undefined));
      case 'deleteSource':
        return this.#deletePod((last?.spec?.['podName'] as string | undefined) ?? app);
      case 'deleteTarget': {
        const name = targetPodOf(last);
        if (name !== undefined) this.#deletePod(name);
        return;
      }
      case 'killContainer':
        return this.#killContainer();
      case 'killApplication': {
        for (const machine of simulation.machines.values()) {
          for (const container of machine.containers.values()) {
            if (container.state !== 'Running') continue;
            this.#monitor.lostApplications.add(container.sandbox.application);
            simulation.killApplication(container);
          }
        }
      }
    }
  }

  /** The newest container that the kubelet has started, even if it still waits at its gate. */
  #killContainer(): void {
    const simulation = this.#simulation;
    for (const { machine } of simulation.nodes()) {
      const one = [...machine.containers.values()].findLast(({ started }) => started);
      if (!one) continue;
      if (one.state === 'Running' || one.state === 'Frozen') {
        this.#monitor.lostApplications.add(one.sandbox.application);
      }
      simulation.killApplication(one);
    }
  }

  #deletePod(name: string): void {
    const pod = this.#simulation.pod(name);
    if (!pod) return;
    this.deletedPods.add(pod.metadata.uid);
    const { applications, store } = this.#simulation;
    this.#monitor.lostApplications.add(applications.of(pod.metadata.uid) ?? name);
    asUser(() => store.delete({ kind: 'Pod', namespace, name }, undefined, 1));
  }

  /** Another client writes to the request: a write that follows from an older version conflicts. */
  #touch(): void {
    const at = String(this.#simulation.timeline.steps);
    const patch = { metadata: { annotations: { touched: at } } };
    const { store } = this.#simulation;
    for (const kind of requestKinds) {
      for (const { metadata } of store.all(kind)) {
        asUser(() => store.merge({ kind, namespace, name: metadata.name }, patch, { by: 'user' }));
      }
    }
  }

  #reset(who: 'source' | 'target', forMs: number): void {
    const name = nodeOf(who);
    this.#monitor.nodeLost(this.#simulation.node(name).machine);
    this.#simulation.reset(name, forMs);
  }
}

const nodeOf = (who: 'source' | 'target'): string => (who === 'source' ? sourceNode : targetNode);

const processKeyOf = (who: Who): ProcessKey =>
  who === 'operator' ? 'operator' : { agent: who === 'source' ? sourceNode : targetNode };

const nameOf = (who: Who): string =>
  who === 'operator' ? 'operator' : `agent/${who === 'source' ? sourceNode : targetNode}`;

export function targetPodOf(request: StoredObject | undefined): string | undefined {
  return (request?.status?.['target'] as { podName?: string } | undefined)?.podName;
}
