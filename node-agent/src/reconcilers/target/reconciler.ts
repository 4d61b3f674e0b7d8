// SPDX-License-Identifier: Apache-2.0
// The target's side of MigrationRequests and RestoreRequests whose new pod is on this node.
import { secondsOfStep, type TargetAgent, type TargetState } from '../../../../crds/src/index.ts';
import {
  proposeDecision,
  keyOf,
  realClock,
  timestamp,
  withFaults,
  type Clock,
  type Context,
  type Plan,
} from '../../../../kube/src/index.ts';
import { AgentError, reasonOf } from '../../support/errors.ts';
import { isGone } from '../../node/lock/network-lock.ts';
import { isSourceSilent, TARGET_WAIT_MS, waitUntil } from '../handover-waits.ts';
import type { Entry } from '../../support/journal/journal.ts';
import { doWithin } from '../step-limits.ts';
import type { HandoverReconciler } from '../handover-loop.ts';
import { stepSeconds } from '../../support/metrics.ts';
import type { Handover } from '../../callers/request-lookup.ts';
import { beginOnce, beginStep, endStep, secondsOf } from '../../support/step-times.ts';
import { TargetContainers } from './containers.ts';
import { decideTarget, type TargetEffect, type TargetStatus } from './decide.ts';
import { entryOf, isOtherAttempt, peerLimitOf, withCreated } from './journal-entry.ts';
import type { CreateAtGate } from '../../support/gate-waiters.ts';
import {
  withDiagnosticsPath,
  restoreLimitOf,
  TargetObserver,
  type Observed,
  type TargetDependencies,
} from './observe.ts';
import type { ContainerStates } from './container-states.ts';

/** CRIU lets go within milliseconds of its gate; longer, and it is looked at anew. */
const LET_GO_MS = 10_000;

export class TargetReconciler<T extends Handover> implements HandoverReconciler<
  Observed<T>,
  TargetEffect,
  TargetStatus
> {
  readonly #deps: TargetDependencies<T>;
  readonly #observer: TargetObserver<T>;
  readonly #containers: TargetContainers;
  readonly #identity = new Map<string, TargetAgent['identity']>();
  readonly #clock: Clock;

  constructor(deps: TargetDependencies<T>) {
    this.#deps = deps;
    this.#containers = new TargetContainers(deps);
    this.#observer = new TargetObserver(deps, this.#containers);
    this.#clock = deps.clock ?? realClock;
  }

  async observe(key: string): Promise<Observed<T> | undefined> {
    return this.#observer.observe(key);
  }

  decide(observed: Observed<T>, now: number): Plan<TargetEffect, TargetStatus> {
    return decideTarget(observed, now);
  }

  async act(effect: TargetEffect, observed: Observed<T>, context: Context): Promise<void> {
    const { request } = observed;
    switch (effect.type) {
      case 'StartRestore':
        return this.#restore(observed, context);
      case 'RecordPeerDeadline': {
        const peerDeadline = timestamp(this.#clock.now() + effect.budgetMs);
        const { uid } = request.metadata;
        return this.#deps.journal.change(uid, 'target', (now = this.#entry(request)) => ({
          ...now,
          peerDeadline,
        }));
      }
      case 'ProposeCommit':
        return this.#decide(observed, context);
      case 'ProposeAbort': {
        await withFaults('target.abort', () =>
          this.#propose(request, 'Aborted', effect.reason, effect.message, context),
        );
        return;
      }
      case 'AnswerPeers':
        return this.#answer(observed, context);
      case 'OpenResumeGates':
        return this.#open(observed, context);
      case 'RetryRestore':
        return this.#takeBack(observed);
      case 'OpenRemainingGates':
        return this.#openRest(observed);
      case 'ResumeTarget':
        return this.#settle(this.#entry(request));
      case 'KeepDiagnostics':
        return this.#keep(request);
      case 'TearDownTarget':
        return this.#tearDown(observed);
      case 'RemoveImages':
        return this.#clean(observed);
    }
  }

  async failed(error: unknown, effect: TargetEffect, observed: Observed<T>): Promise<void> {
    // Only a restore that could not be begun is an answer; all else is tried again until it succeeds.
    if (effect.type !== 'StartRestore') return;
    const { code, message } = reasonOf(error);
    const entry = this.#entry(observed.request);
    await this.#deps.journal.put({
      ...entry,
      reason: code,
      message: withDiagnosticsPath(this.#deps.diagnostics, message, entry),
    });
  }

  async publish(status: TargetStatus, observed: Observed<T>, context: Context): Promise<void> {
    // Deciding goes on to its consequence within the same run.
    const entry = this.#deps.journal.get(observed.request.metadata.uid, 'target');
    const stage = entry?.stage;
    const state =
      stage === 'Running' ? 'Running' : stage === 'TornDown' ? 'TornDown' : status.state;
    const where =
      entry && state === 'TornDown'
        ? withDiagnosticsPath(this.#deps.diagnostics, 'Torn down.', entry)
        : undefined;
    const message = status.message ?? where;
    const part = this.#part(observed.request, { ...status, state, ...(message && { message }) });
    await this.#deps.publisher.write(observed.request, part, context.signal);
  }

  /** Times the transfer, which the receiver drives. */
  async received(request: T, begun: string, ended: string): Promise<void> {
    const { journal } = this.#deps;
    await journal.change(request.metadata.uid, 'target', (now = this.#entry(request)) => ({
      ...now,
      steps: endStep(beginStep(now.steps, 'transfer', begun), 'transfer', ended),
    }));
  }

  /** The request is gone. */
  forget(uid: string): void {
    this.#identity.delete(uid);
  }

  #entry(request: T): Entry {
    return entryOf(this.#deps.journal, this.#deps.kind, request);
  }

  #part(request: T, status: TargetStatus): TargetAgent {
    const uid = request.metadata.uid;
    const told = request.status?.targetAgent;
    const entry = this.#deps.journal.get(uid, 'target');
    const steps = entry && entry.steps;
    const containers = this.#containers.states(uid, entry, status.state);
    const known: Partial<TargetAgent> = {
      steps: steps?.length ? steps : told?.steps,
      identity: this.#identity.get(uid) ?? told?.identity,
      peerDeadline: entry?.peerDeadline ?? told?.peerDeadline,
      containers: containers.length > 0 ? containers : told?.containers,
    };
    return { ...known, ...status };
  }

  async #restore(observed: Observed<T>, context: Context): Promise<void> {
    for (const create of this.#deps.gates.listAtCreateGate(observed.request.metadata.uid)) {
      await this.#restoreOne(create, observed, context);
    }
  }

  async #restoreOne(create: CreateAtGate, of: Observed<T>, context: Context): Promise<void> {
    const { request, imageId } = of;
    const uid = request.metadata.uid;
    const before = this.#entry(request);
    const again = before.stage === 'Restoring' && !isOtherAttempt(before, create);
    const seconds = secondsOfStep(request.spec.timeouts, 'restore');
    const deadline = timestamp(this.#clock.now() + seconds * 1000);
    const steps = again
      ? beginOnce(before.steps, 'restore', deadline)
      : beginStep(before.steps, 'restore', undefined, deadline);
    const netns = await this.#deps.restorer.netns(create);
    const { sandboxId } = create;
    // What one container has been restored over must not be replaced beneath it.
    const isFirst =
      before.filesIn !== sandboxId ||
      !before.containers.some((one) => one.name !== create.container && one.id !== undefined);
    const entry: Entry = {
      ...before,
      stage: 'Restoring',
      netns,
      containers: withCreated(before, create),
      steps,
      reason: undefined,
      message: undefined,
    };
    await this.#deps.journal.put(entry);
    this.#deps.gates.refuseAtResumeGate(uid, create.container, 'the container was created anew');
    this.#tell(request, 'Restoring', context);
    const prepare = async () => {
      if (request.kind === 'RestoreRequest' && isFirst)
        await this.#deps.restorer.verifyImages(imageId, request.status?.digest);
      return this.#deps.restorer.prepareRestore({
        requestUid: uid,
        imageId,
        create,
        qpState: this.#deps.kind === 'RestoreRequest' ? 'error' : 'keep',
        rnrTimer: create.rnrTimer,
        podFiles: isFirst,
      });
    };
    // After Committed there is no way but on.
    const limit = of.decision ? undefined : restoreLimitOf(request, this.#entry(request));
    const reply = await doWithin(limit, this.#clock, new AbortController(), prepare);
    if (isFirst && create.containers.length > 1) {
      await this.#deps.journal.put({ ...this.#entry(request), filesIn: sandboxId });
    }
    this.#deps.gates.answerCreate(uid, create.container, reply);
  }

  /** Everything is rebuilt and nothing has run: the point of no return. */
  async #decide(observed: Observed<T>, context: Context): Promise<void> {
    const { request } = observed;
    const uid = request.metadata.uid;
    const before = this.#entry(request);
    const arrived = this.#deps.gates.listAtResumeGate(uid).sort((a, b) => (a.at < b.at ? -1 : 1));
    const last = arrived.at(-1);
    // Who has left since it was looked at has been killed.
    if (!last || (await this.#containers.look(before)).missing().length > 0) return;
    let steps = endStep(before.steps, 'restore', last.at);
    const registered = arrived.flatMap((one) => one.registerUs ?? []);
    if (registered.length > 0) {
      const us = registered.reduce((sum, one) => sum + one, 0);
      const begun = new Date(Date.parse(last.at) - us / 1000).toISOString();
      steps = endStep(beginStep(steps, 'register', begun), 'register', last.at);
    }
    steps = beginStep(steps, 'decide');
    await this.#deps.journal.put({ ...before, stage: 'AtResumeGate', steps });
    // Read while nothing has run: what the source read when it was held.
    if (before.netns !== undefined) {
      this.#identity.set(uid, await this.#deps.restorer.identity(before.netns));
    }
    this.#tell(request, 'AtResumeGate', context);
    const standing = await withFaults('target.decide', async () => {
      // A kubelet that may not start a container twice (restartPolicy Never) would lose what is committed and dead.
      if ((await this.#containers.look(before)).missing().length > 0) return undefined;
      // Once more: the source would say so too, but it may not reach the API server.
      const late = peerLimitOf(this.#entry(request));
      if (late && this.#clock.now() > late.at) {
        return this.#propose(request, 'Aborted', late.code, late.message, context);
      }
      const why = 'every container is at its gate';
      return this.#propose(request, 'Committed', 'Committed', why, context);
    });
    if (!standing) return;
    if (standing === 'Aborted') return this.#tearDown(observed);
    if (observed.sourceAnswers) await this.#answer(observed, context);
    return this.#open(observed, context);
  }

  async #propose(
    request: T,
    outcome: 'Committed' | 'Aborted',
    reason: string,
    message: string,
    context: Context,
  ): Promise<'Committed' | 'Aborted'> {
    const { api, resource, nodeName } = this.#deps;
    const proposal = { outcome, by: `agent/${nodeName}`, reason, message };
    const standing = await proposeDecision(api, resource, request, proposal, {
      signal: context.signal,
    });
    const decided = standing.outcome;
    context.log.info({ outcome: decided, by: standing.by }, 'decided');
    // A decision is never reversed, but the cache may not have it when this request is looked at next.
    const { uid } = request.metadata;
    await this.#deps.journal.change(uid, 'target', (now = this.#entry(request)) => ({
      ...now,
      decided,
      steps: endStep(now.steps, 'decide'),
    }));
    return decided;
  }

  /**
   * Only after Committed. The held device answers from here on; then the source ends. Nothing of this is a stage: until
   * it is opened, what is killed here is restored once more, locked and hidden again.
   */
  async #answer({ request }: Observed<T>, context: Context): Promise<void> {
    const before = this.#entry(request);
    await this.#deps.journal.put({ ...before, steps: beginOnce(before.steps, 'resume') });
    if (before.netns !== undefined) await this.#deps.restorer.answerPeers(before.netns);
    this.#tell(request, 'Answering', context);
    const isSilent = () => {
      const now = this.#deps.request(keyOf(request));
      return now?.metadata.uid !== request.metadata.uid || isSourceSilent(now);
    };
    const of = { clock: this.#clock, waitMs: TARGET_WAIT_MS, signal: context.signal };
    await waitUntil(isSilent, of);
  }

  /** Only after Committed. Written down first: a restarted agent must find out whether it was let go. */
  async #open(observed: Observed<T>, context: Context): Promise<void> {
    const uid = observed.request.metadata.uid;
    const entry = this.#entry(observed.request);
    // The decision may have come late: what has been killed meanwhile never ran, and must not look as if it had.
    if (entry.stage !== 'Resuming' && (await this.#containers.look(entry)).missing().length > 0) {
      throw new AgentError('Internal', 'not every container waits at its gate: trying again');
    }
    // What is killed right after it was let go is lost; what is killed before is restored once more.
    const late = this.#containers.hardlyStarting(entry, this.#clock.now());
    if (entry.stage !== 'Resuming' && late !== undefined) {
      const why = `the start of ${late} has taken so long that the kubelet may give it up: restoring again`;
      this.#deps.gates.refuseAtResumeGate(uid, late, why);
      throw new AgentError('Internal', why);
    }
    const opening: Entry = {
      ...entry,
      stage: 'Resuming',
      steps: beginOnce(entry.steps, 'resume'),
    };
    await this.#deps.journal.put(opening);
    await withFaults('target.open', async () => {
      for (const { name } of entry.containers) this.#deps.gates.openResumeGate(uid, name);
    });
    const places = await this.#letGo(opening, context);
    if (places.detached() === 'all') return this.#settle(opening);
    if (!places.isUnrestorable()) return this.#takeBack(observed);
    // The others go on all the same: the old pod is gone.
    await this.#release(opening);
  }

  /** The request is over: what could be restored goes on. */
  async #openRest({ request }: Observed<T>): Promise<void> {
    const entry = this.#entry(request);
    for (const { name } of entry.containers) this.#deps.gates.openResumeGate(entry.id, name);
    await this.#settle(entry);
  }

  /** What has been let go is heard only now: until CRIU has said so it may end, and is made once more. */
  async #settle(entry: Entry): Promise<void> {
    await this.#release(entry);
    await this.#ran({ ...entry, steps: endStep(entry.steps, 'resume') });
  }

  /** A pod that is gone meanwhile, with its namespace or its whole node, has nothing to be released. */
  async #release({ netns }: Entry): Promise<void> {
    try {
      if (netns !== undefined) await this.#deps.restorer.resumePod(netns);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

  /**
   * Waits until CRIU has let go, or has ended before it did.
   * @throws AgentError Internal when CRIU takes its time: it is looked at again
   */
  async #letGo(entry: Entry, { signal }: Context): Promise<ContainerStates> {
    const ended = async (): Promise<ContainerStates | false> => {
      const places = await this.#containers.look(entry);
      return this.#containers.haveEnded(entry, places) && places;
    };
    const of = { clock: this.#clock, waitMs: LET_GO_MS, signal };
    const places = await waitUntil(ended, of);
    if (places) return places;
    throw new AgentError('Internal', 'CRIU has not let go of every container: looking again');
  }

  /** What was not let go is as if its gate had not been opened, and what was has not been heard. */
  async #takeBack({ request }: Observed<T>): Promise<void> {
    await this.#deps.journal.put({ ...this.#entry(request), stage: 'AtResumeGate' });
    throw new AgentError('Internal', 'CRIU ended before it had let go: restoring again');
  }

  async #ran(entry: Entry): Promise<void> {
    for (const step of entry.steps) {
      const seconds = secondsOf(step);
      if (seconds !== undefined) stepSeconds.observe({ role: 'target', step: step.name }, seconds);
    }
    await this.#deps.journal.put({ ...entry, stage: 'Running' });
  }

  /** Nothing that was rebuilt may run; the namespace stays locked until the pod is deleted. */
  async #tearDown(observed: Observed<T>): Promise<void> {
    const { request } = observed;
    const entry = this.#entry(request);
    const error = new AgentError('Aborted', 'the move was aborted: the pod runs where it was');
    // Others come to their gate and are refused there, where CRIU cleans up by itself: docs/adr/0006.
    const { limit } = observed;
    const isLate = limit !== undefined && this.#clock.now() > limit.at;
    const hanging = isLate ? this.#containers.restoring(entry) : [];
    await this.#keep(request);
    await withFaults('target.tearDown', async () => {
      this.#deps.gates.refuseAll(request.metadata.uid, error);
      for (const { id } of hanging) if (id !== undefined) await this.#deps.restorer.killRestore(id);
    });
    await this.#clean(observed);
    await this.#deps.journal.put({ ...entry, stage: 'TornDown' });
  }

  /** Before anything is torn down that could be looked at; nothing if nothing was begun. */
  async #keep(request: T): Promise<void> {
    const entry = this.#deps.journal.get(request.metadata.uid, 'target');
    if (entry) await this.#deps.diagnostics?.keep(entry, request);
  }

  async #clean(observed: Observed<T>): Promise<void> {
    const { request, imageId } = observed;
    await withFaults('target.clean', async () => {
      if (!this.#observer.keeps(request)) await this.#deps.store.remove(imageId);
      await this.#deps.removeWork(request.metadata.uid);
    });
  }

  #tell(request: T, state: TargetState, context: Context): void {
    this.#deps.publisher.progress(request, this.#part(request, { state }), context);
  }
}
