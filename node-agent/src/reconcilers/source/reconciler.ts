// SPDX-License-Identifier: Apache-2.0
// The source's side of MigrationRequests whose pod runs on this node.
import {
  secondsOfStep,
  type Decision,
  type LimitedStep,
  type MigrationRequest,
  type SourceAgent,
  type SourceState,
  type Peers,
} from '../../../../crds/src/index.ts';
import {
  proposeDecision,
  keyOf,
  migrationRequests,
  realClock,
  timestamp,
  withFaults,
  type Clock,
  type Context,
  type Plan,
} from '../../../../kube/src/index.ts';
import type { LocalPod } from '../../node/dump/checkpointer.ts';
import { RunningWork } from '../running-work.ts';
import { checkUnchanged, checkComplete } from '../../node/dump/preconditions.ts';
import { AgentError, isPassing, reasonOf } from '../../support/errors.ts';
import { isTargetAnswering, SOURCE_WAIT_MS, waitUntil } from '../handover-waits.ts';
import type { Entry, Stage } from '../../support/journal/journal.ts';
import type { HandoverReconciler } from '../handover-loop.ts';
import { stepSeconds } from '../../support/metrics.ts';
import { startOrder } from '../../callers/request-lookup.ts';
import { checkRetryBudget, readPeers } from '../../support/peers.ts';
import { beginOnce, beginStep, endStep, secondsOf } from '../../support/step-times.ts';
import { decideSource, type SourceEffect, type SourceStatus } from './decide.ts';
import {
  budgetOf,
  entryOf,
  idsOf,
  isLost,
  limitOf,
  lostMessage,
  placementOf,
  podName,
  podUid,
} from './journal-entry.ts';
import { Findings } from './findings.ts';
import { SourceObserver, type Observed, type SourceDependencies } from './observe.ts';

export class SourceReconciler implements HandoverReconciler<Observed, SourceEffect, SourceStatus> {
  readonly #deps: SourceDependencies;
  readonly #observer: SourceObserver;
  readonly #facts = new Findings();
  readonly #clock: Clock;
  readonly #underWay: RunningWork;

  constructor(deps: SourceDependencies) {
    this.#deps = deps;
    this.#clock = deps.clock ?? realClock;
    this.#underWay = new RunningWork(this.#clock);
    this.#observer = new SourceObserver(deps, this.#facts);
  }

  async observe(key: string): Promise<Observed | undefined> {
    return this.#observer.observe(key);
  }

  decide(observed: Observed, now: number): Plan<SourceEffect, SourceStatus> {
    return decideSource(observed, now);
  }

  /** A decision makes packing and sending pointless. */
  interrupt(request: MigrationRequest): void {
    if (request.status?.decision) this.#underWay.stop(request.metadata.uid);
  }

  /** The request is gone. */
  forget(uid: string): void {
    this.#facts.forget(uid);
    this.#underWay.forget(uid);
  }

  async act(effect: SourceEffect, observed: Observed, context: Context): Promise<void> {
    const { request } = observed;
    switch (effect.type) {
      case 'InspectPod':
        await this.#inspect(request);
        return;
      case 'LockNetwork':
        return this.#lock(request, context);
      case 'HoldDevice':
        return this.#hold(request, context);
      case 'FreezeTasks':
        return this.#step(request, 'Freezing', 'freeze', 'Holding', context, (pod) =>
          this.#deps.checkpointer.freezeTasks(pod),
        );
      case 'DumpContainers':
        return this.#step(request, 'Dumping', 'dump', 'Dumping', context, async (pod, signal) => {
          const { uid } = request.metadata;
          const dumped = await this.#deps.checkpointer.dumpContainers(pod, uid, signal);
          this.#facts.know(uid, dumped);
        });
      case 'SendImages':
        return this.#transfer(request, context);
      case 'ProposeAbort':
        await this.#abort(observed, effect, context);
        return;
      case 'ResumeSource':
        return this.#release(request);
      case 'AllowRestart':
        return this.#deps.journal.put({ ...this.#entry(request), stage: 'Resumed' });
      case 'AwaitTargetAnswering':
        return this.#handOver(request, context);
      case 'StopSource':
        return this.#end(request, context);
    }
  }

  async failed(error: unknown, effect: SourceEffect, observed: Observed): Promise<void> {
    const { code, message } = reasonOf(error);
    const { uid } = observed.request.metadata;
    const begun = this.#deps.journal.get(uid, 'source') !== undefined;
    if (!begun && effect.type === 'LockNetwork')
      this.#deps.journal.unclaim(podUid(observed.request), uid);
    // Nothing was begun: there is nothing to undo either.
    if (effect.type === 'InspectPod' || (effect.type === 'LockNetwork' && !begun)) {
      if (error instanceof AgentError) this.#facts.refuse(uid, { code, message });
      return;
    }
    // After the decision there is no way but on: these are tried until they succeed.
    if (
      [
        'ProposeAbort',
        'ResumeSource',
        'AllowRestart',
        'AwaitTargetAnswering',
        'StopSource',
      ].includes(effect.type)
    )
      return;
    if (effect.type === 'SendImages' && isPassing(code)) return;
    // Not a finding: a decision came in between.
    if (code === 'Aborted') return;
    const entry = this.#entry(observed.request);
    const told = this.#deps.diagnostics?.pointTo(message, entry) ?? message;
    await this.#deps.journal.put({ ...entry, reason: code, message: told });
  }

  async publish(status: SourceStatus, observed: Observed, context: Context): Promise<void> {
    const entry = this.#deps.journal.get(observed.request.metadata.uid, 'source');
    const part = this.#part(observed.request, this.#ended(status, entry));
    await this.#deps.publisher.write(observed.request, part, context.signal);
  }

  /** What was planned, and how it came out: only a release finds out whether anything was left to let go on. */
  #ended(status: SourceStatus, entry: Entry | undefined): SourceStatus {
    if (entry?.stage === 'Lost') {
      const { reason, message } = entry;
      return { state: 'Lost', ...(reason && { reason }), ...(message && { message }) };
    }
    if (entry?.stage !== 'Resumed' || status.message !== undefined) return status;
    const message = this.#deps.diagnostics?.pointTo('Resumed.', entry);
    return { ...status, ...(message && { message }) };
  }

  #part(request: MigrationRequest, status: SourceStatus): SourceAgent {
    return this.#facts.part(
      request,
      this.#deps.journal.get(request.metadata.uid, 'source'),
      status,
    );
  }

  #entry(request: MigrationRequest): Entry {
    return entryOf(this.#deps.journal, request);
  }

  /** Finds out early, while nothing has been touched, what would make the move fail. */
  async #inspect(request: MigrationRequest): Promise<void> {
    checkRetryBudget(request.status?.peers, request.spec.timeouts);
    const names = startOrder(await this.#deps.pods.getPod(podName(request)));
    try {
      await this.#deps.checkpointer.inspectPod(podUid(request), names);
    } catch (error) {
      // It ran when the request was accepted.
      if (reasonOf(error).code !== 'PodNotFound') throw error;
      throw new AgentError('SourceLost', lostMessage(podName(request).pod), { cause: error });
    }
    this.#facts.refuse(request.metadata.uid, undefined);
  }

  async #lock(request: MigrationRequest, context: Context): Promise<void> {
    this.#checkUndecided(request);
    checkRetryBudget(request.status?.peers, request.spec.timeouts);
    const pod = await this.#pod(request);
    checkComplete(pod.containers, startOrder(await this.#deps.pods.getPod(podName(request))));
    if (!this.#deps.journal.claim(podUid(request), request.metadata.uid)) {
      const message = 'another request is at work on this pod: ask again when it has ended';
      throw new AgentError('AnotherMigration', message);
    }
    const entry: Entry = {
      ...this.#entry(request),
      stage: 'Locking',
      netns: pod.netns,
      containers: pod.containers.map(({ id, name }) => ({ id, name })),
    };
    // The lock begins the blackout, so it counts as part of the hold.
    const steps = beginOnce(entry.steps, 'hold', this.#deadlineOf(request, 'hold'));
    await this.#deps.journal.put({ ...entry, steps });
    this.#deps.publisher.progress(request, this.#part(request, { state: 'Holding' }), context);
    await this.#limited(request, () => this.#deps.checkpointer.lockNetwork(pod));
  }

  /**
   * Before peers that give up are held the target knows how long they will be: it may not commit too late, and who is
   * told by a watch may be told late. Its clock is another, so it is told a duration, not a moment; it counts from
   * when it first reads that, which is before the hold begins or, at worst, as late as its watch.
   */
  async #hold(request: MigrationRequest, context: Context): Promise<void> {
    const { uid } = request.metadata;
    const { metadata } = await this.#deps.pods.getPod(podName(request));
    const peers: Peers = request.status?.peers ?? readPeers(metadata.annotations);
    const budget = budgetOf(peers, request);
    if (budget !== undefined && this.#entry(request).peerDeadline === undefined) {
      this.#checkUndecided(request);
      checkRetryBudget(peers, request.spec.timeouts);
      this.#facts.know(uid, { peerBudgetMs: budget });
      const part = this.#part(request, { state: 'Holding' });
      await this.#limited(request, () => this.#deps.publisher.write(request, part, context.signal));
      const peerDeadline = timestamp(this.#clock.now() + budget);
      await this.#deps.journal.put({ ...this.#entry(request), peerDeadline });
    }
    return this.#step(request, 'Holding', 'hold', 'Holding', context, (pod) =>
      this.#deps.checkpointer.holdDevice(pod, peers.rnrTimer),
    );
  }

  async #step(
    request: MigrationRequest,
    stage: Stage,
    step: LimitedStep,
    state: SourceState,
    context: Context,
    work: (pod: LocalPod, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    this.#checkUndecided(request);
    const before = this.#entry(request);
    const begun = beginOnce(before.steps, step, this.#deadlineOf(request, step));
    await this.#deps.journal.put({ ...before, stage, steps: begun });
    this.#deps.publisher.progress(request, this.#part(request, { state }), context);
    const pod = await this.#pod(request);
    checkUnchanged(pod.containers, before.containers);
    await this.#limited(request, (signal) => work(pod, signal));
    const steps = endStep(begun, step);
    const done = steps.find((one) => one.name === step);
    const seconds = done && secondsOf(done);
    if (seconds !== undefined) stepSeconds.observe({ role: 'source', step }, seconds);
    await this.#deps.journal.put({ ...this.#entry(request), steps });
  }

  async #transfer(request: MigrationRequest, context: Context): Promise<void> {
    const uid = request.metadata.uid;
    const address = request.status?.target?.agentAddress;
    if (address === undefined) {
      throw new AgentError('TransferFailed', "the target node's agent has no address yet");
    }
    const { header } = this.#facts.get(uid);
    if (!header) throw new AgentError('CheckpointFailed', 'there is nothing to send');
    const send = async (_pod: LocalPod, signal: AbortSignal): Promise<void> => {
      const { digest } = await withFaults('source.transfer', () =>
        this.#deps.send({
          address,
          id: uid,
          dir: this.#deps.store.dir(uid),
          manifest: header,
          certificateDir: this.#deps.certificateDir,
          signal,
        }),
      );
      this.#facts.know(uid, { checkpointDigest: digest });
    };
    await this.#step(request, 'Transferring', 'transfer', 'Transferring', context, send);
    await this.#deps.journal.put({ ...this.#entry(request), stage: 'Sent' });
  }

  /** Until the step's limit, and told to stop when there is a decision. */
  #limited<R>(request: MigrationRequest, work: (signal: AbortSignal) => Promise<R>): Promise<R> {
    const limit = limitOf(request, this.#entry(request));
    return this.#underWay.do(request.metadata.uid, limit, async (signal) => {
      this.#checkUndecided(request);
      return work(signal);
    });
  }

  /** When a step that begins now has to have ended. */
  #deadlineOf({ spec }: MigrationRequest, step: LimitedStep): string {
    return timestamp(this.#clock.now() + secondsOfStep(spec.timeouts, step) * 1000);
  }

  /** The pod as it was when it was locked. @throws AgentError SourceLost, PodNotFound */
  async #pod(request: MigrationRequest): Promise<LocalPod> {
    const entry = this.#deps.journal.get(request.metadata.uid, 'source');
    const lost = (cause?: unknown) =>
      new AgentError('SourceLost', lostMessage(podName(request).pod), { cause });
    try {
      const pod = await this.#deps.checkpointer.findPod(podUid(request));
      if (!entry || !isLost(entry, idsOf(pod.containers))) return pod;
    } catch (error) {
      if (reasonOf(error).code !== 'PodNotFound') throw error;
      throw lost(error);
    }
    throw lost();
  }

  /** A run is long: what it was planned for may be over. */
  #checkUndecided(request: MigrationRequest): void {
    if (!this.#deps.request(keyOf(request))?.status?.decision) return;
    throw new AgentError('Aborted', 'decided meanwhile');
  }

  async #abort(
    observed: Observed,
    effect: { reason: string; message: string },
    context: Context,
  ): Promise<Decision> {
    return withFaults('source.abort', () =>
      proposeDecision(
        this.#deps.api,
        migrationRequests,
        observed.request,
        {
          outcome: 'Aborted',
          by: `agent/${this.#deps.nodeName}`,
          reason: effect.reason,
          message: effect.message,
        },
        { signal: context.signal },
      ),
    );
  }

  async #release(request: MigrationRequest): Promise<void> {
    const before = this.#entry(request);
    const { uid } = request.metadata;
    await this.#underWay.ended(uid);
    // Looked at before anything runs again: what ends by itself afterwards was not lost.
    const lost =
      before.lost ??
      isLost(before, await this.#deps.checkpointer.runningContainerIds(podUid(request)));
    const why = lost ? { reason: 'SourceLost', message: lostMessage(before.pod) } : {};
    const entry: Entry = { ...before, ...why, lost, steps: beginStep(before.steps, 'resume') };
    await this.#deps.journal.put(entry);
    await this.#deps.checkpointer.resumePod(placementOf(this.#deps.journal, request));
    const steps = endStep(entry.steps, 'resume');
    // The pod runs again: what there is to learn is looked at now.
    await this.#deps.diagnostics?.keep(entry, request);
    await this.#clean(request);
    await this.#deps.journal.put({ ...entry, stage: lost ? 'Lost' : 'Resumed', steps });
  }

  /** The held device goes on answering until the target's does. */
  async #handOver(request: MigrationRequest, context: Context): Promise<void> {
    // A request that is removed by force now has been committed all the same.
    await this.#deps.journal.put({ ...this.#entry(request), decided: 'Committed' });
    const isAnswering = () => {
      const now = this.#deps.request(keyOf(request));
      return now?.metadata.uid !== request.metadata.uid || isTargetAnswering(now);
    };
    const of = { clock: this.#clock, waitMs: SOURCE_WAIT_MS, signal: context.signal };
    await waitUntil(isAnswering, of);
  }

  /** Nothing of the pod may ever run here again: `create` is refused from now on, by the journal. */
  async #end(request: MigrationRequest, context: Context): Promise<void> {
    await this.#deps.journal.put({ ...this.#entry(request), stage: 'Stopping' });
    await this.#deps.checkpointer.stopPod(placementOf(this.#deps.journal, request));
    // The target waits for this word, and removing large images takes its time.
    this.#deps.publisher.progress(request, this.#part(request, { state: 'Gone' }), context);
    // Before the last word: nobody would come back for them.
    await this.#clean(request);
    await this.#deps.journal.put({ ...this.#entry(request), stage: 'Gone' });
  }

  async #clean(request: MigrationRequest): Promise<void> {
    await withFaults('source.clean', async () => {
      await this.#deps.store.remove(request.metadata.uid);
      await this.#deps.removeWork(request.metadata.uid);
    });
  }
}
