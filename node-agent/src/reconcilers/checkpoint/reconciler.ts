// SPDX-License-Identifier: Apache-2.0
// CheckpointRequests for pods of this node: lock, hold, freeze, dump, and let the pod go on; the images stay.
import {
  isFinished,
  peerBudgetMs,
  type CheckpointAgent,
  type CheckpointRequest,
  type CheckpointState,
  type Peers,
  type StepName,
} from '../../../../crds/src/index.ts';
import {
  realClock,
  withFaults,
  type Clock,
  type Context,
  type Plan,
} from '../../../../kube/src/index.ts';
import { AgentError, reasonOf } from '../../support/errors.ts';
import type { Entry, Journal, Stage } from '../../support/journal/journal.ts';
import type { Diagnostics } from '../../node/diagnostics/diagnostics.ts';
import { earliest, type Limit } from '../step-limits.ts';
import type { HandoverReconciler } from '../handover-loop.ts';
import { startOrder, type RequestLookup } from '../../callers/request-lookup.ts';
import type { Publisher } from '../publisher.ts';
import { checkRetryBudget, readPeers } from '../../support/peers.ts';
import { beginStep, endStep } from '../../support/step-times.ts';
import { digestOf, formatManifest } from '../../node/transfer/manifest.ts';
import type { ImageStore } from '../../node/transfer/image-store.ts';
import type { Checkpointer, LocalPod } from '../../node/dump/checkpointer.ts';
import {
  decideCheckpoint,
  type CheckpointEffect,
  type CheckpointObserved,
  type CheckpointStatus,
} from './decide.ts';
import { RunningWork } from '../running-work.ts';

export interface CheckpointDependencies {
  nodeName: string;
  journal: Journal;
  checkpointer: Checkpointer;
  pods: RequestLookup;
  publisher: Publisher<CheckpointRequest>;
  store: ImageStore;
  diagnostics?: Diagnostics | undefined;
  request(key: string): CheckpointRequest | undefined;
  removeWork(id: string): Promise<void>;
  clock?: Clock;
}

export interface Observed extends CheckpointObserved {
  request: CheckpointRequest;
}

export class CheckpointReconciler implements HandoverReconciler<
  Observed,
  CheckpointEffect,
  CheckpointStatus
> {
  readonly #deps: CheckpointDependencies;
  readonly #facts = new Map<string, Partial<CheckpointAgent>>();
  readonly #refused = new Map<string, { code: string; message: string }>();
  readonly #clock: Clock;
  readonly #underWay: RunningWork;

  constructor(deps: CheckpointDependencies) {
    this.#deps = deps;
    this.#clock = deps.clock ?? realClock;
    this.#underWay = new RunningWork(this.#clock);
  }

  async observe(key: string): Promise<Observed | undefined> {
    const request = this.#deps.request(key);
    if (request?.status?.nodeName !== this.#deps.nodeName) return undefined;
    const { uid, deletionTimestamp } = request.metadata;
    const entry = this.#deps.journal.get(uid, 'checkpoint');
    const { deadline } = request.status;
    return {
      request,
      stage: entry?.stage,
      finished: isFinished(request),
      failure:
        entry?.reason === undefined
          ? (this.#refused.get(uid) ?? toldFailure(request, entry))
          : { code: entry.reason, message: entry.message ?? '' },
      deleting: deletionTimestamp !== undefined,
      deadline: deadline === undefined ? undefined : Date.parse(deadline),
    };
  }

  decide(observed: Observed, now: number): Plan<CheckpointEffect, CheckpointStatus> {
    return decideCheckpoint(observed, now);
  }

  async act(effect: CheckpointEffect, observed: Observed, context: Context): Promise<void> {
    const { request } = observed;
    switch (effect.type) {
      case 'TakeCheckpoint':
        return this.#take(request, context);
      case 'ResumePod':
        return this.#giveUp(request);
      case 'RemoveImages':
        await withFaults('checkpoint.remove', () => this.#deps.store.remove(imageId(request)));
        await this.#deps.removeWork(imageId(request));
        return this.#deps.journal.remove(request.metadata.uid, 'checkpoint');
    }
  }

  async failed(error: unknown, effect: CheckpointEffect, observed: Observed): Promise<void> {
    if (effect.type !== 'TakeCheckpoint') return;
    const { code, message } = reasonOf(error);
    const { uid } = observed.request.metadata;
    const entry = this.#deps.journal.get(uid, 'checkpoint');
    if (entry) {
      const told = this.#deps.diagnostics?.pointTo(message, entry) ?? message;
      await this.#deps.journal.put({ ...entry, reason: code, message: told });
    } else {
      this.#deps.journal.unclaim(podUid(observed.request), uid);
      if (error instanceof AgentError) this.#refused.set(uid, { code, message });
    }
  }

  async publish(status: CheckpointStatus, observed: Observed, context: Context): Promise<void> {
    const part = this.#part(observed.request, status);
    await this.#deps.publisher.write(observed.request, part, context.signal);
  }

  /** The request is gone. */
  forget(uid: string): void {
    this.#underWay.forget(uid);
    this.#facts.delete(uid);
    this.#refused.delete(uid);
  }

  #part(request: CheckpointRequest, status: CheckpointStatus): CheckpointAgent {
    const { uid } = request.metadata;
    const told = request.status?.agent;
    const steps = this.#deps.journal.get(uid, 'checkpoint')?.steps;
    return {
      ...told,
      ...this.#facts.get(uid),
      steps: steps?.length ? steps : told?.steps,
      reason: undefined,
      message: undefined,
      ...status,
    };
  }

  async #take(request: CheckpointRequest, context: Context): Promise<void> {
    const { checkpointer, store } = this.#deps;
    const id = imageId(request);
    const described = await this.#deps.pods.getPod({
      namespace: request.metadata.namespace,
      pod: request.spec.podName,
      podUid: podUid(request),
    });
    const peers = readPeers(described.metadata.annotations);
    checkRetryBudget(peers);
    const pod = await checkpointer.inspectPod(podUid(request), startOrder(described));
    // The pod goes on whatever happens, so the limit need not outlive the agent: who is restarted gives up.
    const limit = earliest(deadlineOf(request), patienceOf(peers, this.#clock.now()));
    const { namespace, name, uid } = request.metadata;
    const limited = <R>(work: (signal: AbortSignal) => Promise<R>): Promise<R> =>
      this.#underWay.do(uid, limit, work);
    if (!this.#deps.journal.claim(podUid(request), uid)) {
      const message = 'another request is at work on this pod: ask again when it has ended';
      throw new AgentError('AnotherMigration', message);
    }
    await this.#step(request, pod, 'Locking', 'hold', 'Holding', context, () =>
      limited(async () => {
        await checkpointer.lockNetwork(pod);
        await checkpointer.holdDevice(pod, peers.rnrTimer);
      }),
    );
    await this.#step(request, pod, 'Freezing', 'freeze', 'Holding', context, () =>
      limited(() => checkpointer.freezeTasks(pod)),
    );
    const dumped = await this.#step(request, pod, 'Dumping', 'dump', 'Dumping', context, () =>
      limited((signal) => checkpointer.dumpContainers(pod, id, signal)),
    );
    // Digests are computed after the pod has gone on: nobody waits for them.
    await this.#step(request, pod, 'Dumping', 'resume', 'Dumping', context, () =>
      checkpointer.resumePod(pod),
    );
    const owner = { kind: request.kind, namespace, name, uid };
    const header = { ...dumped.header, owner };
    const manifest = await withFaults('checkpoint.seal', () => store.seal(id, header));
    this.#facts.set(request.metadata.uid, {
      bytes: dumped.bytes,
      objects: dumped.objects,
      identity: dumped.identity,
      path: store.dir(id),
      size: manifest.files.reduce((sum, file) => sum + file.size, 0),
      digest: digestOf(formatManifest(manifest)),
    });
    await this.#deps.journal.put({ ...this.#entry(request, pod), stage: 'Stored' });
    await this.#deps.removeWork(id);
  }

  async #step<R>(
    request: CheckpointRequest,
    pod: LocalPod,
    stage: Stage,
    step: StepName,
    state: CheckpointState,
    context: Context,
    work: () => Promise<R>,
  ): Promise<R> {
    const before = this.#entry(request, pod);
    const steps = beginStep(before.steps, step);
    await this.#deps.journal.put({ ...before, stage, steps });
    this.#deps.publisher.progress(request, this.#part(request, { state }), context);
    const result = await work();
    await this.#deps.journal.put({ ...before, stage, steps: endStep(steps, step) });
    return result;
  }

  /** The pod goes on, whatever became of the images. */
  async #giveUp(request: CheckpointRequest): Promise<void> {
    const known = this.#deps.journal.get(request.metadata.uid, 'checkpoint');
    await this.#underWay.ended(request.metadata.uid);
    await this.#deps.checkpointer.resumePod({ podUid: podUid(request), netns: known?.netns });
    if (known) await this.#deps.diagnostics?.keep(known, request, imageId(request));
    await this.#deps.removeWork(imageId(request));
    await this.#deps.store.remove(imageId(request));
    if (known) await this.#deps.journal.put({ ...known, stage: 'Resumed' });
  }

  #entry(request: CheckpointRequest, pod: LocalPod): Entry {
    const { uid, namespace, name } = request.metadata;
    return {
      version: 1,
      id: uid,
      role: 'checkpoint',
      kind: 'CheckpointRequest',
      namespace,
      name,
      pod: request.spec.podName,
      podUid: podUid(request),
      stage: 'Locking',
      netns: pod.netns,
      containers: pod.containers.map((one) => ({ id: one.id, name: one.name })),
      steps: [],
      ...this.#deps.journal.get(uid, 'checkpoint'),
    };
  }
}

/** What this agent, or one before it, has said: it is not taken back by a restart. */
function toldFailure(
  { status }: CheckpointRequest,
  entry: Entry | undefined,
): { code: string; message: string } | undefined {
  const told = status?.agent;
  if (entry || told?.state !== 'Failed') return undefined;
  return { code: told.reason ?? 'CheckpointFailed', message: told.message ?? '' };
}

function deadlineOf({ spec, status }: CheckpointRequest): Limit | undefined {
  if (status?.deadline === undefined) return undefined;
  return {
    at: Date.parse(status.deadline),
    code: 'DeadlineExceeded',
    message: `the checkpoint was not taken within ${spec.timeoutSeconds} s: raise spec.timeoutSeconds if it needs longer`,
  };
}

/** Until when the pod has to go on, if it is held from now on. */
function patienceOf(peers: Peers, now: number): Limit | undefined {
  const budget = peerBudgetMs(peers, {});
  if (budget === undefined) return undefined;
  return {
    at: now + budget,
    code: 'PeerRetryBudgetExceeded',
    message:
      "the pod's peers give up soon (annotation sealift.dev/peer-rnr-retry): the checkpoint was not taken within " +
      `${budget} ms; docs/peers.md says what to set`,
  };
}

function imageId(request: CheckpointRequest): string {
  return request.status?.checkpointId ?? request.metadata.uid;
}

function podUid(request: CheckpointRequest): string {
  const uid = request.status?.podUID;
  if (uid !== undefined) return uid;
  throw new AgentError('PodNotFound', 'the request does not say yet which pod it is about');
}
