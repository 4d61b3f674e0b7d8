// SPDX-License-Identifier: Apache-2.0
// CheckpointRequests for pods of this node: locks, holds, freezes and dumps the pod, and resumes it. The images stay.
import {
  isFinished,
  type CheckpointAgent,
  type CheckpointRequest,
  type CheckpointState,
  type StepName,
} from '../../../../crds/src/index.ts';
import {
  keyOf,
  realClock,
  withFaults,
  type Clock,
  type Context,
  type Plan,
} from '../../../../kube/src/index.ts';
import { startOrder, type RequestLookup } from '../../callers/request-lookup.ts';
import { checkDiskRoom } from '../disk-room.ts';
import { dumpFrozen } from '../frozen-dump.ts';
import { checkStillInBudget, peerLimits } from '../peer-limits.ts';
import type { Diagnostics } from '../../node/diagnostics/diagnostics.ts';
import type { Checkpointer, LocalPod } from '../../node/dump/checkpointer.ts';
import type { PodProbes, ProbeAnswers } from '../../node/probes/probe-answers.ts';
import { digestOf, formatManifest } from '../../node/transfer/manifest.ts';
import type { ImageStore } from '../../node/transfer/image-store.ts';
import { AgentError, failureFields, reasonOf, type Failure } from '../../support/errors.ts';
import type { Entry, Journal, Stage } from '../../support/journal/journal.ts';
import { beginStep, endStep } from '../../support/step-times.ts';
import { claimPod } from '../claim.ts';
import { withDiagnosticsPath } from '../diagnostics-path.ts';
import { withRemedy } from '../remedy.ts';
import type { HandoverReconciler } from '../handover-loop.ts';
import type { Publisher } from '../publisher.ts';
import { RunningWork } from '../running-work.ts';
import { LocalDeadlines } from '../local-deadlines.ts';
import { earliest, type Limit } from '../step-limits.ts';
import { retryBudgetLimit, timeoutLimit } from './limits.ts';
import {
  decideCheckpoint,
  type CheckpointEffect,
  type CheckpointObserved,
  type CheckpointStatus,
} from './decide.ts';

export interface CheckpointDependencies {
  nodeName: string;
  journal: Journal;
  checkpointer: Checkpointer;
  pods: RequestLookup;
  publisher: Publisher<CheckpointRequest>;
  store: ImageStore;
  diagnostics?: Diagnostics | undefined;
  probes?: ProbeAnswers | undefined;
  request(key: string): CheckpointRequest | undefined;
  /** Removes CRIU's logs of a request. */
  removeWork(id: string): Promise<void>;
  clock?: Clock;
}

export interface Observed extends CheckpointObserved {
  request: CheckpointRequest;
}

/** What a step is called in the journal, among the steps and in the agent's status. */
interface StepNames {
  stage: Stage;
  step: StepName;
  state: CheckpointState;
}

export class CheckpointReconciler implements HandoverReconciler<
  Observed,
  CheckpointEffect,
  CheckpointStatus
> {
  readonly #deps: CheckpointDependencies;
  readonly #clock: Clock;
  readonly #running: RunningWork;
  readonly #deadlines: LocalDeadlines;
  /** What this process has found out about a checkpoint, by request. */
  readonly #results = new Map<string, Partial<CheckpointAgent>>();
  /** Failures from before the agent has begun, by request. The journal has the later ones. */
  readonly #refusals = new Map<string, Failure>();

  constructor(deps: CheckpointDependencies) {
    this.#deps = deps;
    this.#clock = deps.clock ?? realClock;
    this.#running = new RunningWork(this.#clock);
    this.#deadlines = new LocalDeadlines(this.#clock);
  }

  async observe(key: string): Promise<Observed | undefined> {
    const request = this.#deps.request(key);
    if (request?.status?.nodeName !== this.#deps.nodeName) return undefined;
    const { uid, deletionTimestamp } = request.metadata;
    const entry = this.#deps.journal.get(uid, 'checkpoint');
    return {
      request,
      stage: entry?.stage,
      finished: isFinished(request),
      failure:
        entry?.reason === undefined
          ? (this.#refusals.get(uid) ?? reportedFailure(request, entry))
          : { code: entry.reason, message: entry.message ?? '' },
      deleting: deletionTimestamp !== undefined,
      deadline: this.#deadlineOf(request),
      keyProblem: await this.#keyProblem(request, entry),
    };
  }

  async #keyProblem(
    request: CheckpointRequest,
    entry: Entry | undefined,
  ): Promise<Failure | undefined> {
    const { store } = this.#deps;
    // Images are removed whatever has become of their key.
    if (request.metadata.deletionTimestamp !== undefined) return undefined;
    if (entry?.stage === 'Stored') return store.storedKeyProblem(imageId(request));
    return entry || isFinished(request) ? undefined : store.keyProblem();
  }

  decide(observed: Observed, now: number): Plan<CheckpointEffect, CheckpointStatus> {
    return decideCheckpoint(observed, now);
  }

  async act(effect: CheckpointEffect, observed: Observed, context: Context): Promise<void> {
    const { request } = observed;
    switch (effect.type) {
      case 'TakeCheckpoint':
        return this.#takeCheckpoint(request, context);
      case 'ResumePod':
        return this.#sayingWhatStays(observed, context, () => this.#resumePod(request));
      case 'RemoveImages':
        return this.#sayingWhatStays(observed, context, () => this.#removeImages(request));
    }
  }

  /** Gives up the dump once nobody wants its images. */
  interrupt({ metadata }: CheckpointRequest): void {
    if (metadata.deletionTimestamp !== undefined) this.#running.stop(metadata.uid);
  }

  async failed(error: unknown, effect: CheckpointEffect, observed: Observed): Promise<void> {
    if (effect.type !== 'TakeCheckpoint') return;
    const { code, message } = withRemedy('CheckpointRequest', reasonOf(error));
    const { uid } = observed.request.metadata;
    const entry = this.#deps.journal.get(uid, 'checkpoint');
    if (entry) {
      const located = withDiagnosticsPath(this.#deps.diagnostics, message, entry);
      // A restarted agent resumes the pod anyway.
      await this.#deps.journal.putIfPossible({
        ...entry,
        ...failureFields({ code, message: located }),
      });
    } else {
      this.#deps.journal.unclaim(podUid(observed.request), uid);
      if (error instanceof AgentError) this.#refusals.set(uid, { code, message });
    }
  }

  async publish(status: CheckpointStatus, observed: Observed, context: Context): Promise<void> {
    const part = this.#part(observed.request, status);
    await this.#deps.publisher.write(observed.request, part, context.signal);
  }

  forget(uid: string): void {
    this.#running.forget(uid);
    this.#deadlines.forget(uid);
    this.#results.delete(uid);
    this.#refusals.delete(uid);
  }

  /** When the checkpoint must be taken, by this node's clock. */
  #deadlineOf({ metadata, spec, status }: CheckpointRequest): number | undefined {
    return this.#deadlines.at(metadata.uid, status?.deadline, spec.timeoutSeconds);
  }

  /** The agent's part of the status. */
  #part(request: CheckpointRequest, status: CheckpointStatus): CheckpointAgent {
    const { uid } = request.metadata;
    const reported = request.status?.agent;
    const steps = this.#deps.journal.get(uid, 'checkpoint')?.steps;
    return {
      ...reported,
      ...this.#results.get(uid),
      steps: steps?.length ? steps : reported?.steps,
      reason: undefined,
      message: undefined,
      notRemoved: undefined,
      ...status,
    };
  }

  async #takeCheckpoint(request: CheckpointRequest, context: Context): Promise<void> {
    const { checkpointer, journal, pods } = this.#deps;
    const { uid, namespace, name } = request.metadata;
    const id = imageId(request);
    const key = { namespace, pod: request.spec.podName, podUid: podUid(request) };
    const described = await pods.getPod(key);
    const { annotations } = described.metadata;
    const addresses = described.status.podIPs.map(({ ip }) => ip);
    const pod = await checkpointer.inspectPod(podUid(request), startOrder(described), addresses);
    const least = await checkpointer.leastBytes(pod);
    await checkDiskRoom(this.#deps.store, this.#deps.nodeName, least);
    const limits = await peerLimits(checkpointer, pod, annotations);
    const within = <R>(
      limit: Limit | undefined,
      work: (signal: AbortSignal) => Promise<R>,
    ): Promise<R> =>
      this.#running.run(uid, limit, async (signal) => {
        this.#checkWanted(request);
        return work(signal);
      });
    const step = <R>(names: StepNames, work: () => Promise<R>): Promise<R> =>
      this.#runStep(request, pod, names, context, work);
    const probes = await this.#deps.probes?.probesOf(pod.netns, described);
    claimPod(journal, key, uid);
    const timeout = timeoutLimit(request, this.#deadlineOf(request));
    if (probes) await within(timeout, (signal) => this.#answerProbes(request, pod, probes, signal));
    // The peers' time begins with the hold, not with the wait for open probes. A restarted agent takes no checkpoint any
    // more but resumes the pod, so the limit need not be in the journal.
    const limit = earliest(timeout, retryBudgetLimit(limits.budgetMs, this.#clock.now()));
    const withinLimit = <R>(work: (signal: AbortSignal) => Promise<R>): Promise<R> =>
      within(limit, work);
    await step({ stage: 'Locking', step: 'hold', state: 'Holding' }, () =>
      withinLimit(async () => {
        await checkpointer.lockNetwork(pod, `CheckpointRequest ${namespace}/${name}`);
        await checkpointer.holdDevice(pod, limits.answer);
      }),
    );
    await step({ stage: 'Freezing', step: 'freeze', state: 'Holding' }, () =>
      withinLimit(async (signal) => {
        await checkpointer.freezeTasks(pod, signal);
        checkStillInBudget(limits.budgetMs, await peerLimits(checkpointer, pod, annotations));
      }),
    );
    const dumped = await step({ stage: 'Dumping', step: 'dump', state: 'Dumping' }, () =>
      withinLimit((signal) =>
        dumpFrozen(checkpointer, pod, id, { addresses, connections: 'Refuse' }, signal),
      ),
    );
    await step({ stage: 'Dumping', step: 'resume', state: 'Dumping' }, () =>
      checkpointer.resumePod(pod),
    );
    // The pod answers its probes itself again, however long its images take to seal.
    if (probes) await journal.put({ ...this.#entry(request, pod), probes: undefined });
    await this.#seal(request, dumped);
    await journal.put({ ...this.#entry(request, pod), stage: 'Stored' });
    await this.#deps.removeWork(id);
  }

  /** A checkpoint takes long: the request may have been deleted since it was planned. @throws AgentError Aborted */
  #checkWanted(request: CheckpointRequest): void {
    if (this.#deps.request(keyOf(request))?.metadata.deletionTimestamp === undefined) return;
    throw new AgentError('Aborted', 'The request is being deleted.');
  }

  /**
   * From now on until the pod is resumed the agent answers the pod's network probes.
   * @param signal ends the wait for those that are open
   * @throws AgentError LockFailed, Aborted
   */
  async #answerProbes(
    request: CheckpointRequest,
    pod: LocalPod,
    probes: PodProbes,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#deps.journal.put({ ...this.#entry(request, pod), probes });
    await this.#deps.probes?.inPlace();
    await this.#deps.probes?.openProbesEnd(probes, signal);
    this.#checkWanted(request);
  }

  /** Writes the images' manifest. The pod runs again, so the digests lengthen no pause. */
  async #seal(
    request: CheckpointRequest,
    dumped: Awaited<ReturnType<Checkpointer['dumpContainers']>>,
  ): Promise<void> {
    const { store } = this.#deps;
    const { namespace, name, uid } = request.metadata;
    const id = imageId(request);
    const owner = { kind: request.kind, namespace, name, uid };
    const manifest = await withFaults('checkpoint.seal', () =>
      store.seal(id, { ...dumped.header, owner }),
    );
    this.#results.set(uid, {
      bytes: dumped.bytes,
      objects: dumped.objects,
      identity: dumped.identity,
      path: store.dir(id),
      size: manifest.files.reduce((sum, file) => sum + file.size, 0),
      digest: digestOf(formatManifest(manifest)),
    });
  }

  /** Records the step, does its work, and records its end. */
  async #runStep<R>(
    request: CheckpointRequest,
    pod: LocalPod,
    { stage, step, state }: StepNames,
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

  /** Resumes the pod of a checkpoint that has failed, and removes its images. */
  async #resumePod(request: CheckpointRequest): Promise<void> {
    const { journal, checkpointer, diagnostics, store } = this.#deps;
    const { uid } = request.metadata;
    const id = imageId(request);
    const entry = journal.get(uid, 'checkpoint');
    await this.#running.waitForEnd(uid);
    await checkpointer.resumePod({ podUid: podUid(request), netns: entry?.netns });
    if (entry) await diagnostics?.keep(entry, request, id);
    await this.#deps.removeWork(id);
    await store.remove(id);
    if (entry) await journal.put({ ...entry, stage: 'Resumed' });
  }

  /** Whoever has deleted a request waits for the removal of its images: he hears why they stay. */
  async #sayingWhatStays(
    { request, deleting }: Observed,
    { signal }: Context,
    work: () => Promise<void>,
  ): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (deleting) {
        const { nodeName, publisher } = this.#deps;
        const notRemoved = `The agent of node ${nodeName} cannot remove the images: ${reasonOf(error).message}`;
        const { agent = { state: 'Failed' as const } } = request.status ?? {};
        await publisher.write(request, { ...agent, notRemoved }, signal);
      }
      throw error;
    }
  }

  async #removeImages(request: CheckpointRequest): Promise<void> {
    const id = imageId(request);
    await withFaults('checkpoint.remove', () => this.#deps.store.remove(id));
    await this.#deps.removeWork(id);
    await this.#deps.journal.remove(request.metadata.uid, 'checkpoint');
  }

  /** The request's entry; a new one, not yet written, if the journal has none. */
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

/** The failure that the agent has reported before. A restart of the agent does not take it back. */
function reportedFailure(
  { status }: CheckpointRequest,
  entry: Entry | undefined,
): Failure | undefined {
  const reported = status?.agent;
  if (entry || reported?.state !== 'Failed') return undefined;
  return { code: reported.reason ?? 'CheckpointFailed', message: reported.message ?? '' };
}

function imageId(request: CheckpointRequest): string {
  return request.status?.checkpointId ?? request.metadata.uid;
}

function podUid(request: CheckpointRequest): string {
  const uid = request.status?.podUID;
  if (uid !== undefined) return uid;
  throw new AgentError('PodNotFound', 'The request does not name its pod yet.');
}
