// SPDX-License-Identifier: Apache-2.0
// A ReplicaSet or a Job with three pods, of which one moves: the operator's own decisions, and everybody else as a model.
// Each actor takes one step at a time, in any order, and the operator may be stopped between any two writes.
import type { MigrationRequest } from '../../crds/src/index.ts';
import type { Pod } from '../../kube/src/index.ts';
import { decideMigration } from '../src/migration/decide.ts';
import type { Effect } from '../src/migration/types.ts';
import { lowestCost } from '../src/target-pod/controllers.ts';
import { namespaceOwner } from '../src/target-pod/ownership.ts';
import { see } from './migration.ts';
import { accepted, container, decision, NOW, pod, target } from './objects.ts';

export type Kind = 'ReplicaSet' | 'Job';
export const actors = [
  ...(['operator', 'operator stops', 'controller', 'agents', 'kubelet', 'cancel'] as const),
];
export type Actor = (typeof actors)[number];

const replicas = 3;

interface ModelPod {
  readonly name: string;
  /** Greater: younger. */
  readonly age: number;
  version: number;
  owner: 'set' | 'namespace';
  phase: 'Pending' | 'Running' | 'Failed';
  ready: boolean;
  /** What its kubelet says about its containers. */
  containersReady: boolean;
  cost: number;
  isTarget: boolean;
}

const runs = { owner: 'set', phase: 'Running', ready: true, containersReady: true } as const;

export class SetModel {
  readonly #kind: Kind;
  readonly #pods = new Map<string, ModelPod>();
  #status: Record<string, unknown>;
  #pending: { effect: Effect; versions: Map<string, number> }[] = [];
  #now = NOW;
  #cancelled = false;
  /** Pods that the controller has made from nothing, and pods that it has taken for failed. */
  made = 0;
  failed = 0;
  /** The most pods of the set that were ready at once. */
  mostReady = 0;

  constructor(kind: Kind) {
    this.#kind = kind;
    for (const [age, name] of ['x', 'y', 'p'].entries()) this.#add({ name, age, ...runs });
    const waits = { phase: 'Pending', ready: false, containersReady: false } as const;
    this.#add({ name: 'p-reque', age: 3, owner: 'namespace', ...waits, isTarget: true });
    const set = { apiVersion: 'x/v1', kind, name: 'set', uid: 'set-uid' };
    const handover = kind === 'Job' ? 'BeforeHold' : 'AfterResume';
    const source = { nodeName: 'a', podName: 'p', podUID: 'pod-uid' };
    this.#status = {
      source: { ...source, controller: { ...set, handover } },
      targetAgent: { state: 'AtCreateGate' },
    };
  }

  #add(parts: Omit<ModelPod, 'version' | 'cost' | 'isTarget'> & { isTarget?: true }): void {
    this.#pods.set(parts.name, {
      version: 1,
      cost: 0,
      ...parts,
      isTarget: parts.isTarget ?? false,
    });
  }

  get request(): MigrationRequest {
    return accepted(this.#status, this.#cancelled ? { spec: { cancel: true } } : {});
  }
  get outcome(): string | undefined {
    return this.request.status?.decision?.outcome;
  }
  get isFinished(): boolean {
    return this.request.status?.completionTime !== undefined;
  }
  has(name: string): boolean {
    return this.#pods.has(name);
  }
  /** Names of the pods that the controller counts. */
  get members(): string[] {
    return this.#active().map((one) => one.name);
  }

  #active(): ModelPod[] {
    return [...this.#pods.values()].filter((one) => one.owner === 'set' && one.phase !== 'Failed');
  }

  step(actor: Actor): void {
    if (actor === 'operator') this.#operator();
    else if (actor === 'operator stops') this.#pending = [];
    else if (actor === 'controller') this.#controller();
    else if (actor === 'agents') this.#agents();
    else if (actor === 'kubelet') this.#kubelet();
    else this.#cancelled = true;
    const ready = this.#active().filter((one) => one.ready).length;
    this.mostReady = Math.max(this.mostReady, ready);
  }

  /** One write, or a new observation when there is nothing left to write. */
  #operator(): void {
    this.#now += 1000;
    const next = this.#pending.shift();
    if (next) return this.#act(next.effect, next.versions);
    if (this.isFinished) return;
    const observed = see({
      request: this.request,
      sourcePod: this.#source(),
      targetPod: this.#target(),
      controller: this.outcome ? 'active' : undefined,
    });
    const plan = decideMigration(observed, this.#now);
    const versions = new Map([...this.#pods].map(([name, one]) => [name, one.version]));
    this.#status = { ...this.#status, ...plan.status };
    this.#pending = plan.effects.map((effect) => ({ effect, versions }));
  }

  #act(effect: Effect, versions: Map<string, number>): void {
    const name = effect.type.endsWith('Target') ? 'p-reque' : 'p';
    const one = this.#pods.get(name);
    // These writes name the version that was read.
    const isExact = /^(Attach|Detach)/.test(effect.type);
    if (one && isExact && versions.get(name) !== one.version) {
      this.#pending = [];
      return;
    }
    if (effect.type === 'ProposeAbort') this.#decide('Aborted', effect.reason);
    if (!one) return;
    one.version++;
    if (effect.type.startsWith('Attach')) one.owner = 'set';
    if (effect.type.startsWith('Detach')) one.owner = 'namespace';
    // The operator looks again, and takes this back, before the controller acts again.
    if (effect.type === 'DetachSource' && !this.has('p-reque')) one.owner = 'set';
    if (effect.type === 'RetireSource') Object.assign(one, { cost: lowestCost, ready: false });
    if (effect.type === 'AllowTraffic') this.#allow();
    if (effect.type === 'DeleteSource' || effect.type === 'DeleteTarget') this.#delete(one);
  }

  #allow(): void {
    const one = this.#pods.get('p-reque');
    if (one) one.isTarget = false;
  }

  /** By anyone: a Job takes a pod of its own that is deleted for failed. */
  #delete(one: ModelPod): void {
    if (this.#kind === 'Job' && one.owner === 'set') this.failed++;
    this.#pods.delete(one.name);
  }

  /** Makes what is missing, and deletes what is worth least: ActivePods and ActivePodsWithRanks of Kubernetes. */
  #controller(): void {
    const active = this.#active();
    for (let n = active.length; n < replicas; n++) {
      const name = `new-${++this.made}`;
      const waits = { phase: 'Pending', ready: false, containersReady: false } as const;
      this.#add({ name, age: 10 + this.made, owner: 'set', ...waits });
    }
    const phases = ['Pending', 'Running'];
    const cost = this.#kind === 'Job' ? () => 0 : (one: ModelPod) => one.cost;
    active.sort(
      (a, b) =>
        phases.indexOf(a.phase) - phases.indexOf(b.phase) ||
        Number(a.ready) - Number(b.ready) ||
        cost(a) - cost(b) ||
        b.age - a.age,
    );
    for (const one of active.slice(0, Math.max(0, active.length - replicas))) {
      this.#pods.delete(one.name);
    }
  }

  #agents(): void {
    const { sourceAgent, targetAgent, deadlines } = this.request.status ?? {};
    const to = targetAgent?.state;
    if (this.outcome === 'Aborted') {
      this.#status['sourceAgent'] = { state: 'Resumed' };
      return;
    }
    // Neither of them waits for the operator, but for the blackout deadline.
    if (deadlines?.blackout === undefined) return;
    if (this.outcome === undefined) {
      if (sourceAgent === undefined) this.#status['sourceAgent'] = { state: 'Sent' };
      else if (to === 'AtCreateGate') this.#status['targetAgent'] = { state: 'AtResumeGate' };
      else if (this.has('p-reque')) this.#decide('Committed', 'Committed');
    } else if (to === 'AtResumeGate') this.#status['targetAgent'] = { state: 'Answering' };
    else if (sourceAgent?.state === 'Sent') this.#status['sourceAgent'] = { state: 'Gone' };
    else if (to === 'Answering') this.#status['targetAgent'] = { state: 'Running' };
  }

  #decide(outcome: 'Committed' | 'Aborted', reason: string): void {
    if (this.outcome === undefined) this.#status['decision'] = decision(outcome, reason);
  }

  /** Says what the containers do; it may be late. */
  #kubelet(): void {
    const { sourceAgent, targetAgent } = this.request.status ?? {};
    const source = this.#pods.get('p');
    if (source) {
      const isKilled = sourceAgent?.state === 'Gone';
      if (isKilled && this.#kind === 'Job') this.#fail(source);
      const containersReady = source.containersReady && !isKilled;
      this.#report(source, { containersReady, ready: containersReady });
    }
    const to = this.#pods.get('p-reque');
    if (to && targetAgent?.state === 'Running') {
      // One step later it is ready.
      const ready = to.phase === 'Running' && !to.isTarget;
      this.#report(to, { ready, containersReady: ready, phase: 'Running' });
    }
  }

  #report(one: ModelPod, status: Partial<ModelPod>): void {
    if (Object.entries(status).every(([key, value]) => one[key as keyof ModelPod] === value))
      return;
    Object.assign(one, status);
    one.version++;
  }

  /** restartPolicy is Never. */
  #fail(one: ModelPod): void {
    if (one.phase !== 'Failed' && one.owner === 'set') this.failed++;
    one.phase = 'Failed';
  }

  #source(): Pod | undefined {
    const one = this.#pods.get('p');
    return one && pod({ metadata: this.#metadata(one, {}), status: statusOf(one) });
  }

  #target(): Pod | undefined {
    const one = this.#pods.get('p-reque');
    const own = one?.isTarget === false ? { labels: {} } : {};
    return (
      one && target('request-uid', { metadata: this.#metadata(one, own), status: statusOf(one) })
    );
  }

  #metadata({ owner, cost }: ModelPod, more: object): Record<string, unknown> {
    const set = { apiVersion: 'x/v1', kind: this.#kind, name: 'set', uid: 'set-uid' };
    const reference =
      owner === 'set' ? { ...set, controller: true } : namespaceOwner('default', 'namespace-uid');
    const key = 'controller.kubernetes.io/pod-deletion-cost';
    const annotations = cost === 0 ? {} : { annotations: { [key]: String(cost) } };
    return { ownerReferences: [reference], ...annotations, ...more };
  }
}

function statusOf({ phase, ready, containersReady }: ModelPod): Record<string, unknown> {
  const state = phase === 'Pending' ? { waiting: {} } : containersReady ? { running: {} } : {};
  return {
    phase,
    conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    containerStatuses: [container(state, { ready: containersReady })],
  };
}
