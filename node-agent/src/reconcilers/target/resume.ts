// SPDX-License-Identifier: Apache-2.0
// The effects after Committed: AnswerPeers, ResumeTarget and ResumeRemaining.
import type { Nak } from '../../../../crds/src/index.ts';
import { keyOf, realClock, type Clock, type Context } from '../../../../kube/src/index.ts';
import type { Handover } from '../../callers/request-lookup.ts';
import type { ConnectionsToReset } from '../../node/restore/lost-connections.ts';
import { AgentError } from '../../support/errors.ts';
import { targetStage, type Entry } from '../../support/journal/journal.ts';
import { stepSeconds } from '../../support/metrics.ts';
import { beginOnce, endStep, microTimestamp, secondsOf } from '../../support/step-times.ts';
import { isSourceStopped, TARGET_WAIT_MS, waitUntil } from '../handover-waits.ts';
import type { TargetContainers } from './containers.ts';
import { entryOf, isMade } from './journal-entry.ts';
import type { TargetDependencies } from './observe.ts';
import type { TargetReport } from './report.ts';

export class TargetResume<T extends Handover> {
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
   * Lets the held device answer the peers, and waits until the source is stopped. This is no stage of the journal: a
   * target that is killed before it resumes is restored again, locked and hidden. A pod without an RDMA device has no peers,
   * and its source, whose tasks are frozen for good, nothing that could answer: the agent waits for nothing.
   */
  async answerPeers(request: T, context: Context): Promise<void> {
    const before = this.#entry(request);
    const { restorer, journal } = this.#deps;
    // Only a report could miss when the step began: the next stage writes it.
    await journal.note(request.metadata.uid, 'target', (now = before) => ({
      ...now,
      steps: beginOnce(now.steps, 'resume'),
    }));
    const lost = lostBy(before);
    if (before.netns !== undefined && !(await restorer.answerPeers(before.netns, lost))) return;
    this.#report.progress(request, 'Answering', context);
    const isStopped = () => {
      const now = this.#deps.request(keyOf(request));
      return now?.metadata.uid !== request.metadata.uid || isSourceStopped(now);
    };
    const changes = this.#deps.wakes?.changesOf(keyOf(request));
    const of = { clock: this.#clock, waitMs: TARGET_WAIT_MS, signal: context.signal, changes };
    await waitUntil(isStopped, of);
  }

  /**
   * Resumes the pod: unlocks and announces it, resumes its device, thaws its tasks. The journal has the stage before, so a
   * restarted agent does all of it again.
   * @throws AgentError Internal if a container was killed since: it has not run, so it is restored again
   */
  async resume(request: T, context: Context): Promise<void> {
    const entry = this.#entry(request);
    const stage = targetStage(entry, request.status?.targetAgent?.state);
    if (stage !== 'Resuming' && (await this.#containers.read(entry)).missing().length > 0) {
      throw new AgentError('Internal', 'Not every container is at its gate: the agent retries.');
    }
    await this.#resume(request, entry, context);
  }

  /** The request has finished: resumes the containers that are restored. */
  async resumeRemaining(request: T, context: Context): Promise<void> {
    await this.#resume(request, this.#entry(request), context);
  }

  async #resume(request: T, entry: Entry, { log, signal }: Context): Promise<void> {
    const { journal, restorer } = this.#deps;
    // Its last entry was not durable, and the pod has run since: a later request may have frozen it.
    if (journal.busyWith(entry.podUid, entry.id)) {
      throw new AgentError('AnotherMigration', 'Another request is at work on the pod by now.');
    }
    const resuming: Entry = {
      ...entry,
      stage: 'Resuming',
      steps: beginOnce(entry.steps, 'resume'),
      // The first time counts: some containers may run since then.
      resumedAt: entry.resumedAt ?? microTimestamp(),
    };
    // An agent that did not know would restore once more a container that has run. Where the disk takes nothing, the API server
    // has to know it (observe.ts).
    if (!(await journal.putIfPossible(resuming))) {
      log.warn('the journal cannot be written: the status says in its place that the pod may run');
      await this.#report.write(request, { state: 'Running' }, signal);
    }
    if (resuming.netns !== undefined) {
      const naks = this.#naks(request);
      const { refused, failures } = await restorer.resumePod(resuming.netns, naks, lostBy(entry));
      if (failures.length > 0)
        log.warn({ failures }, 'the driver fails to take NAKs of the source');
      if (refused.length > 0) log.warn({ refused }, 'no queue pair takes these NAKs of the source');
    }
    await restorer.thawRestored(entry.containers.filter(isMade));
    const steps = endStep(resuming.steps, 'resume');
    for (const step of steps) {
      const seconds = secondsOf(step);
      if (seconds !== undefined) stepSeconds.observe({ role: 'target', step: step.name }, seconds);
    }
    await journal.put({ ...resuming, stage: 'Running', steps });
  }

  /** What peers have told the source since its dump. The agent has waited for the report since it observed the request. */
  #naks(request: T): readonly Nak[] {
    const now = this.#deps.request(keyOf(request));
    const { kind, status } = now?.metadata.uid === request.metadata.uid ? now : request;
    return (kind === 'MigrationRequest' && status?.sourceAgent?.naks) || [];
  }

  #entry(request: T): Entry {
    return entryOf(this.#deps.journal, this.#deps.kind, request);
  }
}

const lostBy = ({ resets = [], containers }: Entry): ConnectionsToReset => ({
  addresses: resets,
  containers: containers.filter(isMade),
});
