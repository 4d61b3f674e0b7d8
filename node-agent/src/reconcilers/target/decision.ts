// SPDX-License-Identifier: Apache-2.0
// ProposeCommit and ProposeAbort: proposes the decision and records which one stands. Committed is the point of no
// return: every container is restored, started and frozen, and none has run.
import {
  proposeDecision,
  realClock,
  withFaults,
  type Clock,
  type Context,
} from '../../../../kube/src/index.ts';
import type { Decision } from '../../../../crds/src/index.ts';
import type { Handover } from '../../callers/request-lookup.ts';
import type { RestoredAtGate } from '../../support/gate-waiters.ts';
import type { Entry } from '../../support/journal/journal.ts';
import { beginStep, endStep } from '../../support/step-times.ts';
import type { TargetContainers } from './containers.ts';
import { entryOf, peerLimitOf } from './journal-entry.ts';
import type { TargetDependencies } from './observe.ts';
import type { TargetReport } from './report.ts';

type Outcome = Decision['outcome'];

export class TargetDecision<T extends Handover> {
  readonly #deps: TargetDependencies<T>;
  readonly #containers: TargetContainers;
  readonly #report: TargetReport<T>;
  readonly #clock: Clock;

  constructor(deps: TargetDependencies<T>, containers: TargetContainers, report: TargetReport<T>) {
    this.#deps = deps;
    this.#containers = containers;
    this.#report = report;
    this.#clock = deps.clock ?? realClock;
  }

  /**
   * Waits until the images survive a loss of power: from the decision on they may be the pod's only copy.
   * @returns the decision that stands; undefined if a container has ended and nothing was proposed
   */
  async commit(request: T, context: Context): Promise<Outcome | undefined> {
    const { journal, gates, restorer, store } = this.#deps;
    const { uid } = request.metadata;
    const before = this.#entry(request);
    // The agent reads the identity while no task has run, as the source read it while the device was held.
    const { netns } = before;
    const identifying = netns === undefined ? undefined : restorer.identity(netns);
    identifying?.catch(() => undefined);
    await withFaults('target.persist', () => store.persist(this.#deps.imageId(request)));
    // A container may have been killed since the agent observed it.
    if (await this.#isContainerMissing(before)) return undefined;
    const steps = beginStep(withRestoreSteps(before.steps, gates.listPassed(uid)), 'decide');
    await journal.put({ ...before, stage: 'AtResumeGate', steps });
    const identity = await identifying;
    if (identity) this.#report.identify(uid, identity);
    this.#report.mention(request, { state: 'AtResumeGate' }, context).catch(() => undefined);
    return withFaults('target.decide', async () => {
      // A committed container that is dead is lost if its kubelet may not start it twice (restartPolicy Never).
      if (await this.#isContainerMissing(before)) return undefined;
      // The source would abort too, but it may not reach the API server.
      const late = peerLimitOf(this.#entry(request));
      if (late && this.#clock.now() > late.at) {
        return this.#propose(request, 'Aborted', late.code, late.message, context);
      }
      const message = 'Every container is restored and frozen.';
      return this.#propose(request, 'Committed', 'Committed', message, context);
    });
  }

  /** @returns the decision that stands */
  abort(request: T, reason: string, message: string, context: Context): Promise<Outcome> {
    return withFaults('target.abort', () =>
      this.#propose(request, 'Aborted', reason, message, context),
    );
  }

  async #propose(
    request: T,
    outcome: Outcome,
    reason: string,
    message: string,
    context: Context,
  ): Promise<Outcome> {
    const { api, resource, nodeName, journal } = this.#deps;
    const proposal = { outcome, by: `agent/${nodeName}`, reason, message };
    const standing = await proposeDecision(api, resource, request, proposal, {
      signal: context.signal,
    });
    const decided = standing.outcome;
    context.log.info({ outcome: decided, by: standing.by }, 'decided');
    // A decision never changes, but the informer's cache may not have it at this request's next run.
    const record = (now = this.#entry(request)): Entry => ({
      ...now,
      decided,
      steps: endStep(now.steps, 'decide'),
    });
    const { uid } = request.metadata;
    await journal.change(uid, 'target', record).catch(() => journal.note(uid, 'target', record));
    return decided;
  }

  async #isContainerMissing(entry: Entry): Promise<boolean> {
    return (await this.#containers.read(entry)).missing().length > 0;
  }

  #entry(request: T): Entry {
    return entryOf(this.#deps.journal, this.#deps.kind, request);
  }
}

/**
 * Ends the step `restore` at the last arrival at the gate, and adds the step `register` with the plugins' own times. An
 * agent that has restarted since knows neither.
 */
function withRestoreSteps(
  steps: Entry['steps'],
  restored: readonly RestoredAtGate[],
): Entry['steps'] {
  const [last] = restored.toSorted((a, b) => (a.at < b.at ? 1 : -1));
  if (!last) return endStep(steps, 'restore');
  const ended = endStep(steps, 'restore', last.at);
  const times = restored.flatMap(({ registerUs }) => registerUs ?? []);
  if (times.length === 0) return ended;
  const microseconds = times.reduce((sum, one) => sum + one, 0);
  const begun = new Date(Date.parse(last.at) - microseconds / 1000).toISOString();
  return endStep(beginStep(ended, 'register', begun), 'register', last.at);
}
