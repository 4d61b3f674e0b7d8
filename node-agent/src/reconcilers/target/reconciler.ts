// SPDX-License-Identifier: Apache-2.0
// The target's side of MigrationRequests and RestoreRequests whose new pod is on this node.
import {
  realClock,
  timestamp,
  withFaults,
  type Clock,
  type Context,
  type Plan,
} from '../../../../kube/src/index.ts';
import type { TargetState } from '../../../../crds/src/index.ts';
import type { Handover } from '../../callers/request-lookup.ts';
import { abortedError, AgentError, failureFields, reasonOf } from '../../support/errors.ts';
import { isRestoring, type Entry } from '../../support/journal/journal.ts';
import { beginStep, endStep } from '../../support/step-times.ts';
import { withDiagnosticsPath } from '../diagnostics-path.ts';
import { withRemedy } from '../remedy.ts';
import type { HandoverReconciler } from '../handover-loop.ts';
import { LocalDeadlines } from '../local-deadlines.ts';
import { ContainerRestore } from './container-restore.ts';
import { TargetContainers } from './containers.ts';
import { decideTarget, type TargetEffect, type TargetStatus } from './decide.ts';
import { TargetDecision } from './decision.ts';
import { entryOf, isMade } from './journal-entry.ts';
import { TargetObserver, type Observed, type TargetDependencies } from './observe.ts';
import { TargetReport } from './report.ts';
import { TargetResume } from './resume.ts';

/** States on the way to the decision that nobody waits for, once the operator has seen the target at its create gate. */
const unawaited: ReadonlySet<TargetState> = new Set(['Receiving', 'Restoring', 'AtResumeGate']);

/** Images that this node cannot keep, of a pod that must not be committed then. */
const imagesLost: ReadonlySet<string> = new Set(['CheckpointNotFound', 'ImageCorrupt']);

export class TargetReconciler<T extends Handover> implements HandoverReconciler<
  Observed<T>,
  TargetEffect,
  TargetStatus
> {
  readonly #deps: TargetDependencies<T>;
  readonly #clock: Clock;
  readonly #deadlines: LocalDeadlines;
  readonly #observer: TargetObserver<T>;
  readonly #containers: TargetContainers;
  readonly #report: TargetReport<T>;
  readonly #restore: ContainerRestore<T>;
  readonly #decision: TargetDecision<T>;
  readonly #resume: TargetResume<T>;

  constructor(deps: TargetDependencies<T>) {
    this.#deps = deps;
    this.#clock = deps.clock ?? realClock;
    this.#containers = new TargetContainers(deps);
    this.#deadlines = new LocalDeadlines(this.#clock);
    this.#observer = new TargetObserver(deps, this.#containers, this.#deadlines);
    this.#report = new TargetReport(deps, this.#containers);
    this.#restore = new ContainerRestore(deps, this.#report);
    this.#decision = new TargetDecision(deps, this.#containers, this.#report);
    this.#resume = new TargetResume(deps, this.#containers, this.#report);
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
      case 'PlaceAddresses':
        return this.#placeAddresses(request);
      case 'StartRestore':
        return this.#restore.startAll(observed, context);
      case 'RecordPeerDeadline':
        return this.#recordPeerDeadline(request, effect.budgetMs);
      case 'ProposeCommit':
        return this.#proposeCommit(observed, context);
      case 'ProposeAbort':
        await this.#decision.abort(request, effect.reason, effect.message, context);
        return;
      case 'AnswerPeers':
        return this.#resume.answerPeers(request, context);
      case 'ResumeTarget':
        return this.#resume.resume(request, context);
      case 'ResumeRemaining':
        return this.#resume.resumeRemaining(request, context);
      case 'KeepDiagnostics':
        return this.#keepDiagnostics(request);
      case 'TearDownTarget':
        return this.#tearDown(observed);
      case 'RemoveImages':
        return this.#removeImages(observed);
    }
  }

  async failed(error: unknown, effect: TargetEffect, observed: Observed<T>): Promise<void> {
    // A restore that cannot begin fails the request, and so do images that are lost and addresses that the target cannot have.
    // The agent repeats all else until it succeeds.
    const reason = reasonOf(error);
    const isFatal =
      (effect.type === 'ProposeCommit' && imagesLost.has(reason.code)) ||
      (effect.type === 'PlaceAddresses' && error instanceof AgentError);
    if (effect.type !== 'StartRestore' && !isFatal) return;
    const { code, message } = withRemedy(observed.request.kind, reason);
    const entry = this.#entry(observed.request);
    const located = withDiagnosticsPath(this.#deps.diagnostics, message, entry);
    await this.#deps.journal.putIfPossible({
      ...entry,
      ...failureFields({ code, message: located }),
    });
  }

  async publish(status: TargetStatus, observed: Observed<T>, context: Context): Promise<void> {
    const entry = this.#deps.journal.get(observed.request.metadata.uid, 'target');
    // A run that proposes the decision continues with its consequence, which the plan does not name.
    const stage = entry?.stage;
    const state = stage === 'Running' || stage === 'TornDown' ? stage : status.state;
    const ending =
      entry && state === 'TornDown'
        ? withDiagnosticsPath(this.#deps.diagnostics, 'The target was torn down.', entry)
        : undefined;
    const message = status.message ?? ending;
    const reported = { ...status, state, ...(message && { message }) };
    if (message === undefined && unawaited.has(state)) {
      return this.#report.mention(observed.request, reported, context);
    }
    await this.#report.write(observed.request, reported, context.signal);
  }

  /** Records the step `transfer`, which the image receiver drives: begun and ended are RFC 3339 with microseconds. */
  async received(request: T, begun: string, ended: string): Promise<void> {
    const { journal } = this.#deps;
    await journal.note(request.metadata.uid, 'target', (now = this.#entry(request)) => ({
      ...now,
      steps: endStep(beginStep(now.steps, 'transfer', begun), 'transfer', ended),
    }));
  }

  forget(uid: string): void {
    this.#report.forget(uid);
    this.#deadlines.forget(uid);
  }

  #entry(request: T): Entry {
    return entryOf(this.#deps.journal, this.#deps.kind, request);
  }

  /**
   * Nothing of it is undone: the sandbox goes with the target. It may be repeated.
   * @throws AgentError AddressesDiffer, BadBundle; Error the GID tables have not settled yet
   */
  async #placeAddresses(request: T): Promise<void> {
    const { gates, journal, restorer } = this.#deps;
    const { uid } = request.metadata;
    const { fabric } = request.status?.sourceAgent ?? {};
    const [create] = gates.listAtCreateGate(uid);
    if (!fabric || !create) return;
    const gids = await restorer.placeAddresses(create, fabric);
    // The source's agent compares the table with its own: one from before would refuse the move for good.
    if (!gids)
      throw new Error('the GID tables do not have the addresses yet: the next run looks again');
    const { sandboxId } = create;
    await journal.change(uid, 'target', (now = this.#entry(request)) => ({
      ...now,
      gids,
      fabric: { digest: fabric.digest, sandboxId },
    }));
  }

  async #recordPeerDeadline(request: T, budgetMs: number): Promise<void> {
    const peerDeadline = timestamp(this.#clock.now() + budgetMs);
    const { uid } = request.metadata;
    await this.#deps.journal.change(uid, 'target', (now = this.#entry(request)) => ({
      ...now,
      peerDeadline,
    }));
  }

  /** Proposes the commit and acts at once on the decision that stands: each moment is part of the blackout. */
  async #proposeCommit(observed: Observed<T>, context: Context): Promise<void> {
    const { request } = observed;
    const outcome = await this.#decision.commit(request, context);
    if (outcome === undefined) return;
    if (outcome === 'Aborted') return this.#tearDown(observed);
    if (observed.sourceAnswers) await this.#resume.answerPeers(request, context);
    return this.#resume.resume(request, context);
  }

  /** Refuses every caller at a gate and kills what is frozen. The namespace stays locked until the pod is deleted. */
  async #tearDown(observed: Observed<T>): Promise<void> {
    const { request, limit } = observed;
    const entry = this.#entry(request);
    const error = abortedError();
    // CRIU cleans up by itself at a gate that refuses it (docs/adr/0021). One that hangs is killed.
    const isLate = limit !== undefined && this.#clock.now() > limit.at && isRestoring(entry);
    const { restorer } = this.#deps;
    await this.#keepDiagnostics(request);
    await withFaults('target.tearDown', async () => {
      this.#deps.gates.refuseAll(request.metadata.uid, error);
      for (const one of entry.containers.filter(isMade)) {
        await (isLate ? restorer.killRestore(one.id) : restorer.killFrozen(one));
      }
    });
    await this.#removeImages(observed);
    await this.#deps.journal.put({ ...entry, stage: 'TornDown' });
  }

  /** Before the tear-down removes what it is read from. Nothing was begun without an entry. */
  async #keepDiagnostics(request: T): Promise<void> {
    const entry = this.#deps.journal.get(request.metadata.uid, 'target');
    if (entry) await this.#deps.diagnostics?.keep(entry, request);
  }

  async #removeImages(observed: Observed<T>): Promise<void> {
    const { request, imageId } = observed;
    await withFaults('target.clean', async () => {
      const { uid } = request.metadata;
      // A checkpoint of this node stays. What was decrypted of it for CRIU goes.
      const isKept = this.#observer.areImagesCheckpoint(request);
      await this.#deps.store.remove(isKept ? uid : imageId);
      await this.#deps.removeWork(uid);
    });
  }
}
