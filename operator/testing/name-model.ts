// SPDX-License-Identifier: Apache-2.0
// A StatefulSet's pod `p` that moves twice: the operator's own decisions about both requests, and everybody else as a model.
// Each actor takes one step at a time, in any order; the operator may be stopped between any two writes, and may have read
// pods and requests at different times.
import { annotations, podConditions, type MigrationRequest } from '../../crds/src/index.ts';
import type { Pod } from '../../kube/src/index.ts';
import { decideMigration } from '../src/migration/decide.ts';
import type { Effect, Observed } from '../src/migration/types.ts';
import { namespaceOwner } from '../src/target-pod/ownership.ts';
import { see } from './migration.ts';
import { accepted, at, container, decision, migration, node, NOW, pod } from './objects.ts';

export const actors = [
  ...(['reads pods', 'reads requests', 'writes', 'second', 'operator stops'] as const),
  ...(['controller', 'agents', 'kubelet', 'cancels', 'crashes', 'deletes'] as const),
];
export type Actor = (typeof actors)[number];

/** What a pod's containers are: the copy that is moved, one that has begun from nothing, or none. */
type Content = 'waits' | 'copy' | 'frozen' | 'fresh' | 'nothing';

interface ModelPod {
  readonly name: string;
  readonly uid: string;
  content: Content;
  owner: 'set' | 'namespace' | 'nobody';
  /** UID of the request that made it. */
  readonly by?: string;
  isMarked: boolean;
  isCommitted: boolean;
  isDeleted: boolean;
}

interface Request {
  readonly uid: string;
  readonly name: string;
  status: Record<string, unknown>;
  cancelled: boolean;
}

const set = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'set', uid: 'set-uid' };
const controller = { ...set, handover: 'ByName' };
const nodes = ['a', 'b', 'c'].map((name) => node(name));
const resumed = { state: 'Running', resumedAt: at(0) };

export class NameModel {
  readonly #pods = new Map<string, ModelPod>();
  readonly #first: Request = { uid: 'request-uid', name: 'move', status: {}, cancelled: false };
  #second: Request | undefined;
  #seen: { pods?: readonly (Pod | undefined)[]; requests?: Partial<Observed> } = {};
  #pending: Effect[] = [];
  #now = NOW;
  /** Pods that the set has made from nothing. */
  made = 0;
  /** Requests of second moves. */
  attempts = 0;
  /** A container has ended by itself, or a user has deleted the landing pod. */
  isDamaged = false;

  constructor() {
    const source = { nodeName: 'a', podName: 'p', podUID: 'pod-uid', controller };
    // The first move has just been committed. All before is as with any other pod.
    this.#first.status = {
      source,
      decision: decision('Committed'),
      deadlines: { prepare: at(300), blackout: at(60) },
      sourceAgent: { state: 'Sent' },
      targetAgent: { state: 'AtResumeGate' },
    };
    this.#add({ name: 'p', uid: 'pod-uid', content: 'frozen', owner: 'set' });
    this.#add({ name: 'p-reque', uid: 'target-uid', content: 'frozen', by: 'request-uid' });
  }

  #add(parts: Pick<ModelPod, 'name' | 'uid' | 'content'> & Partial<ModelPod>): void {
    const flags = { isMarked: parts.by !== undefined, isCommitted: false, isDeleted: false };
    this.#pods.set(parts.name, { owner: 'namespace', ...flags, ...parts });
  }

  get isFinished(): boolean {
    return this.#first.status['completionTime'] !== undefined;
  }
  get outcome(): string | undefined {
    return (this.#first.status['conditions'] as { type: string; reason: string }[]).find(
      (one) => one.type === 'Succeeded',
    )?.reason;
  }
  get pods(): ReadonlyMap<string, Readonly<ModelPod>> {
    return this.#pods;
  }
  /** Pods whose processes run as `p`, or may do so by what is decided. */
  get running(): string[] {
    return [...this.#pods.values()]
      .filter((one) => one.content === 'copy' || one.content === 'fresh')
      .map((one) => one.uid);
  }
  /** Whether the memory is anywhere. */
  get hasMemory(): boolean {
    return [...this.#pods.values()].some((one) => ['copy', 'frozen'].includes(one.content));
  }
  /** As the policy on names sees it. */
  get isReserved(): boolean {
    return !this.isFinished;
  }

  step(actor: Actor): void {
    this.#now += 1000;
    switch (actor) {
      case 'reads pods':
        this.#seen.pods = [this.#read('p'), this.#read('p-reque')];
        return this.#decideFirst();
      case 'reads requests':
        this.#seen.requests = this.#requests();
        return this.#decideFirst();
      case 'writes':
        return this.#write();
      case 'second':
        return this.#decideSecond();
      case 'operator stops':
        this.#pending = [];
        this.#seen = {};
        return;
      case 'controller':
        return this.#controller();
      case 'agents':
        return this.#agents();
      case 'kubelet':
        return this.#kubelet();
      case 'cancels':
        if (this.#second) this.#second.cancelled = true;
        return;
      case 'crashes':
      case 'deletes':
        return this.#damage(actor);
    }
  }

  // The operator

  #requestOf({ uid, name, status, cancelled }: Request, podName: string): MigrationRequest {
    const metadata = {
      ...{ name, uid },
      annotations: {
        [annotations.migration]: 'default/move',
        [annotations.requestUid]: 'request-uid',
      },
    };
    const spec = { podName, cancel: cancelled };
    if (uid === 'request-uid') return accepted(status);
    return migration({ metadata, spec, ...(Object.keys(status).length === 0 ? {} : { status }) });
  }

  #requests(): Partial<Observed> {
    const request = this.#requestOf(this.#first, 'p');
    const name = request.status?.secondMove?.requestName;
    const second = this.#second?.name === name ? this.#second : undefined;
    return {
      request,
      secondMove: second && this.#requestOf(second, 'p-reque'),
      nameTrial: this.isReserved ? 'reserved' : 'free',
    };
  }

  #decideFirst(): void {
    const { pods, requests } = this.#seen;
    if (!pods || !requests || this.#pending.length > 0 || this.isFinished) return;
    this.#seen = {};
    const [sourcePod, targetPod] = pods;
    const plan = decideMigration(see({ ...requests, sourcePod, targetPod, nodes }), this.#now);
    this.#first.status = { ...this.#first.status, ...plan.status };
    this.#pending = [...plan.effects];
  }

  #write(): void {
    const effect = this.#pending.shift();
    const landing = this.#pods.get('p-reque');
    const named = this.#pods.get('p');
    switch (effect?.type) {
      case 'AllowTraffic':
        if (landing) Object.assign(landing, { isMarked: false, isCommitted: true });
        return;
      case 'DeleteSource':
        if (named?.uid === effect.uid) this.#pods.delete('p');
        return;
      case 'DeleteLanding':
        if (landing) landing.isDeleted = true;
        return;
      case 'CreateSecondMove':
        if (this.#second?.name === effect.requestName) return;
        this.attempts++;
        this.#second = {
          ...{ uid: `second-${effect.attempt}`, name: effect.requestName },
          ...{ status: {}, cancelled: false },
        };
        return;
      default:
    }
  }

  /** It looks and writes in one step: what may come in between is of any move, and not of this one. */
  #decideSecond(): void {
    const own = this.#second;
    if (!own || own.status['completionTime'] !== undefined) return;
    const request = this.#requestOf(own, 'p-reque');
    const firstMove = this.#requestOf(this.#first, 'p');
    const pods = { sourcePod: this.#read('p-reque'), targetPod: this.#read('p') };
    const plan = decideMigration(see({ request, firstMove, ...pods, nodes }), this.#now);
    own.status = { ...own.status, ...plan.status };
    for (const effect of plan.effects) this.#writeSecond(own, effect);
  }

  #writeSecond(own: Request, effect: Effect): void {
    const found = this.#pods.get('p');
    const target = found?.by === own.uid ? found : undefined;
    switch (effect.type) {
      case 'CreateTarget':
        if (found) return this.#decide(own, 'Aborted', 'TargetRejected');
        return this.#add({ name: 'p', uid: `${own.uid}-pod`, content: 'waits', by: own.uid });
      case 'AllowTraffic':
        if (target) Object.assign(target, { isMarked: false, isCommitted: true });
        return;
      case 'AttachTarget':
        if (target) target.owner = 'set';
        return;
      case 'ReleaseTarget':
        if (target?.owner === 'namespace') target.owner = 'nobody';
        return;
      case 'DeleteSource':
        if (this.#pods.get('p-reque')?.uid === effect.uid) this.#pods.delete('p-reque');
        return;
      case 'DeleteTarget':
        if (target) this.#pods.delete('p');
        return;
      case 'ProposeAbort':
        return this.#decide(own, 'Aborted', effect.reason);
      default:
    }
  }

  #decide(own: Request, outcome: 'Committed' | 'Aborted', reason: string): void {
    own.status['decision'] ??= decision(outcome, reason);
  }

  // Everybody else

  /** The set makes its pod, if the API server lets it. A create that was sent before is answered by the same rule. */
  #controller(): void {
    if (this.#pods.has('p') || this.isReserved) return;
    this.#add({ name: 'p', uid: `new-${++this.made}`, content: 'fresh', owner: 'set' });
  }

  #agents(): void {
    const first = this.#requestOf(this.#first, 'p').status;
    const source = this.#pods.get('p');
    const landing = this.#pods.get('p-reque');
    if (first?.targetAgent?.state === 'AtResumeGate') {
      this.#first.status['targetAgent'] = { state: 'Answering' };
    } else if (first?.sourceAgent?.state === 'Sent') {
      this.#first.status['sourceAgent'] = { state: 'Gone' };
      if (source?.uid === 'pod-uid') source.content = 'nothing';
    } else if (first?.targetAgent?.state === 'Answering') {
      this.#first.status['targetAgent'] = resumed;
      if (landing?.content === 'frozen') landing.content = 'copy';
    } else if (this.#second) this.#moveOn(this.#second, landing);
  }

  #moveOn(own: Request, landing: ModelPod | undefined): void {
    const status = this.#requestOf(own, 'p-reque').status;
    const found = this.#pods.get('p');
    const target = found?.by === own.uid ? found : undefined;
    if (status?.decision?.outcome === 'Aborted') {
      if (landing?.content === 'frozen') landing.content = 'copy';
      own.status['sourceAgent'] = { state: landing ? 'Resumed' : 'Lost' };
      own.status['targetAgent'] = { state: 'TornDown' };
    } else if (status?.decision) this.#endMove(own, landing, target);
    else this.#prepareMove(own, landing, target);
  }

  #prepareMove(own: Request, landing: ModelPod | undefined, target: ModelPod | undefined): void {
    const { targetAgent, sourceAgent, deadlines } = this.#requestOf(own, 'p-reque').status ?? {};
    if (targetAgent === undefined) {
      if (target) own.status['targetAgent'] = { state: 'AtCreateGate' };
      return;
    }
    if (deadlines?.blackout === undefined) return;
    if (sourceAgent === undefined) {
      if (landing?.content !== 'copy') return this.#decide(own, 'Aborted', 'SourceLost');
      landing.content = 'frozen';
      own.status['sourceAgent'] = { state: 'Sent' };
    } else if (target && targetAgent.state === 'AtCreateGate') {
      own.status['targetAgent'] = { state: 'AtResumeGate' };
      target.content = 'frozen';
    } else if (target) this.#decide(own, 'Committed', 'Committed');
  }

  #endMove(own: Request, landing: ModelPod | undefined, target: ModelPod | undefined): void {
    const { targetAgent, sourceAgent } = this.#requestOf(own, 'p-reque').status ?? {};
    if (targetAgent?.state === 'AtResumeGate') own.status['targetAgent'] = { state: 'Answering' };
    else if (sourceAgent?.state === 'Sent') {
      own.status['sourceAgent'] = { state: 'Gone' };
      if (landing) landing.content = 'nothing';
    } else if (targetAgent?.state === 'Answering') {
      own.status['targetAgent'] = resumed;
      if (target) target.content = 'copy';
    }
  }

  /** Ends what is deleted, and starts containers that have ended. */
  #kubelet(): void {
    for (const one of this.#pods.values()) {
      if (one.isDeleted && one.content !== 'nothing') one.content = 'nothing';
      else if (one.isDeleted) this.#pods.delete(one.name);
    }
  }

  #damage(how: 'crashes' | 'deletes'): void {
    const landing = this.#pods.get('p-reque');
    if (!landing || (how === 'crashes' && landing.content !== 'copy')) return;
    this.isDamaged = true;
    if (how === 'crashes') landing.content = 'fresh';
    else landing.isDeleted = true;
  }

  #read(name: string): Pod | undefined {
    const one = this.#pods.get(name);
    if (!one) return undefined;
    const isMade = one.by !== undefined;
    const metadata = {
      ...{ name, uid: one.uid },
      labels: one.isMarked ? { 'sealift.dev/role': 'target' } : {},
      annotations: isMade
        ? { [annotations.requestUid]: one.by, [annotations.migration]: 'default/x' }
        : {},
      ownerReferences:
        one.owner === 'set'
          ? [{ ...set, controller: true }]
          : one.owner === 'namespace'
            ? [namespaceOwner('default', 'namespace-uid')]
            : [],
      ...(one.isDeleted ? { deletionTimestamp: at(1) } : {}),
    };
    const committed = { type: podConditions.committed, status: one.isCommitted ? 'True' : 'False' };
    const ready = one.isCommitted && ['copy', 'fresh'].includes(one.content);
    const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False' }, committed];
    return pod({
      metadata,
      spec: { nodeName: name === 'p' ? 'a' : 'b' },
      status: { phase: 'Running', conditions, containerStatuses: [containerOf(one)] },
    });
  }
}

/** As its kubelet reports it. */
function containerOf({ content }: ModelPod): Record<string, unknown> {
  const terminated = { exitCode: 137, finishedAt: at(1) };
  if (content === 'nothing') return container({ terminated }, { ready: false });
  if (content === 'waits') return container({ waiting: {} }, { ready: false });
  const before = content === 'fresh' ? { restartCount: 1, lastState: { terminated } } : {};
  return container({ running: {} }, { ready: true, ...before });
}
