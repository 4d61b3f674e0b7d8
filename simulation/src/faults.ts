// SPDX-License-Identifier: Apache-2.0
// Makes what a schedule says go wrong.
import { API_VERSION } from '../../crds/src/index.ts';
import type { Stored } from './api/objects.ts';
import type { Monitor } from './monitor.ts';
import type { Fault, Schedule, Who } from './schedule.ts';
import { namespace, type Simulation } from './world.ts';

const sourceNode = 'a';
const targetNode = 'b';
const requests = ['MigrationRequest', 'CheckpointRequest', 'RestoreRequest'];

export class Faults {
  readonly #world: Simulation;
  readonly #monitor: Monitor;
  #open: Fault[];
  readonly #passed = new Map<string, number>();
  /** When the last fault that began will have ended. */
  endsAt = 0;
  /** What the user has taken away: no runner can be asked for there. */
  readonly deleted = new Set<string>();

  constructor(world: Simulation, monitor: Monitor, schedule: Schedule) {
    this.#world = world;
    this.#monitor = monitor;
    this.#open = [...schedule.faults];
  }

  /** Those that will not strike any more. */
  stop(): void {
    this.#open = [];
  }

  passed(point: string): void {
    const count = (this.#passed.get(point) ?? 0) + 1;
    this.#passed.set(point, count);
    this.#strike(({ when }) => 'point' in when && when.point === point && when.nth === count);
  }

  stepped(): void {
    const { steps } = this.#world.timeline;
    this.#strike(({ when }) => 'step' in when && when.step <= steps);
  }

  #strike(isDue: (fault: Fault) => boolean): void {
    if (this.#open.length === 0) return;
    const due = this.#open.filter(isDue);
    if (due.length === 0) return;
    this.#open = this.#open.filter((fault) => !due.includes(fault));
    for (const fault of due) {
      this.endsAt = Math.max(this.endsAt, this.#world.timeline.now + fault.forMs);
      this.#do(fault);
    }
  }

  #do({ what, forMs }: Fault): void {
    const world = this.#world;
    const { server, network } = world;
    switch (what.do) {
      case 'crash':
        return world.crash(processOf(what.who), forMs);
      case 'pause':
        return world.pause(processOf(what.who), forMs);
      case 'skew':
        return world.skew(nameOf(what.who), what.byMs);
      case 'cutApi':
      case 'slowApi':
      case 'lagWatch':
      case 'breakWatch':
      case 'repeatEvents':
        return this.#link(what.do, nameOf(what.who), forMs);
      case 'stopApi':
        return server.stop(forMs);
      case 'compact':
        world.store.compact();
        return server.breakWatches();
      case 'touch':
        return this.#touch();
      case 'cutAgents':
        return network.cut(forMs);
      case 'reset':
        return this.#reset(what.who, forMs);
      default:
        if (!this.#spoil(what.do)) this.#user(what.do);
    }
  }

  /** Something goes wrong at its next occasion. @returns whether that is such a fault */
  #spoil(what: string): boolean {
    const world = this.#world;
    switch (what) {
      case 'damageImage':
        world.network.damages = true;
        return true;
      case 'holdFails':
        world.kernel.holdFails = true;
        return true;
      case 'dumpFails':
      case 'dumpHangs':
      case 'freezeFails':
      case 'restoreFails':
      case 'restoreHangs':
      case 'endsAtGate':
        world.luck[what] = true;
        return true;
      case 'unschedulable':
        world.isFull = true;
        return true;
      case 'throw':
        world.throws = true;
        return true;
      default:
        return false;
    }
  }

  #link(what: string, of: string, forMs: number): void {
    const { server } = this.#world;
    switch (what) {
      case 'cutApi':
        return server.link(of).cut(forMs);
      case 'slowApi':
        return server.link(of).slow(forMs, 3000);
      case 'lagWatch':
        return server.link(of).lag(forMs, forMs);
      case 'breakWatch':
        return server.breakWatches(of);
      default:
        return server.repeatEvents(of);
    }
  }

  #user(what: string): void {
    const world = this.#world;
    const last = requests.flatMap((kind) => world.store.all(kind)).at(-1);
    const request = { kind: last?.kind ?? '', namespace, name: last?.metadata.name ?? '' };
    const by = { by: 'user' };
    switch (what) {
      case 'cancel':
        return world.user((store) => store.merge(request, { spec: { cancel: true } }, by));
      case 'deleteRequest':
        return world.user((store) => store.delete(request, undefined, undefined));
      case 'deleteSource':
        return this.#deletePod((last?.spec?.['podName'] as string | undefined) ?? 'app');
      case 'deleteTarget': {
        const name = targetOf(last);
        if (name !== undefined) this.#deletePod(name);
        return;
      }
      case 'killContainer':
        return this.#killContainer();
      case 'killApplication': {
        for (const machine of world.machines.values()) {
          for (const container of machine.containers.values()) {
            if (container.state !== 'Running') continue;
            this.#monitor.lost.add(container.sandbox.lineage);
            world.killApplication(container);
          }
        }
      }
    }
  }

  /** One of several that the kubelet has started, also one that only waits. */
  #killContainer(): void {
    const world = this.#world;
    for (const { machine } of world.nodes()) {
      const one = [...machine.containers.values()].findLast(({ started }) => started);
      if (!one) continue;
      if (one.state === 'Running' || one.state === 'Frozen') {
        this.#monitor.lost.add(one.sandbox.lineage);
      }
      world.killApplication(one);
    }
  }

  #deletePod(name: string): void {
    const pod = this.#world.pod(name);
    if (!pod) return;
    this.deleted.add(pod.metadata.uid);
    this.#monitor.lost.add('app');
    this.#world.user((store) => store.delete({ kind: 'Pod', namespace, name }, undefined, 1));
  }

  /** Somebody else writes to the request: whoever has read it before meets a conflict. */
  #touch(): void {
    const at = String(this.#world.timeline.steps);
    const patch = { metadata: { annotations: { touched: at } } };
    for (const kind of requests) {
      for (const { metadata } of this.#world.store.all(kind)) {
        this.#world.user((store) =>
          store.merge({ kind, namespace, name: metadata.name }, patch, { by: 'user' }),
        );
      }
    }
  }

  #reset(who: 'source' | 'target', forMs: number): void {
    const name = who === 'source' ? sourceNode : targetNode;
    this.#monitor.destroyed(this.#world.node(name).machine);
    this.#world.reset(name, forMs);
  }
}

const processOf = (who: Who): 'operator' | { agent: string } =>
  who === 'operator' ? 'operator' : { agent: who === 'source' ? sourceNode : targetNode };

const nameOf = (who: Who): string =>
  who === 'operator' ? 'operator' : `agent/${who === 'source' ? sourceNode : targetNode}`;

export function targetOf(request: Stored | undefined): string | undefined {
  return (request?.status?.['target'] as { podName?: string } | undefined)?.podName;
}

/** What a user applies. */
export function request(kind: string, name: string, spec: object): never {
  return { apiVersion: API_VERSION, kind, metadata: { name, namespace }, spec } as never;
}
