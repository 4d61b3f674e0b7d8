// SPDX-License-Identifier: Apache-2.0
// The effects after Committed: AnswerPeers, OpenResumeGates, RetryRestore, OpenRemainingGates and ResumeTarget.
import {
  keyOf,
  realClock,
  withFaults,
  type Clock,
  type Context,
} from '../../../../kube/src/index.ts';
import type { Handover } from '../../callers/request-lookup.ts';
import { isGone } from '../../node/lock/network-lock.ts';
import { AgentError } from '../../support/errors.ts';
import type { Entry } from '../../support/journal/journal.ts';
import { stepSeconds } from '../../support/metrics.ts';
import { beginOnce, endStep, secondsOf } from '../../support/step-times.ts';
import { isSourceStopped, TARGET_WAIT_MS, waitUntil } from '../handover-waits.ts';
import type { ContainerStates } from './container-states.ts';
import type { TargetContainers } from './containers.ts';
import { entryOf } from './journal-entry.ts';
import type { TargetDependencies } from './observe.ts';
import type { TargetReport } from './report.ts';

/** CRIU detaches within milliseconds of its gate. After this long the agent observes the target anew. */
const DETACH_TIMEOUT_MS = 10_000;

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
   * target that dies before its gates open is restored again, locked and hidden.
   */
  async answerPeers(request: T, context: Context): Promise<void> {
    const before = this.#entry(request);
    await this.#deps.journal.put({ ...before, steps: beginOnce(before.steps, 'resume') });
    if (before.netns !== undefined) await this.#deps.restorer.answerPeers(before.netns);
    this.#report.progress(request, 'Answering', context);
    const isStopped = () => {
      const now = this.#deps.request(keyOf(request));
      return now?.metadata.uid !== request.metadata.uid || isSourceStopped(now);
    };
    const of = { clock: this.#clock, waitMs: TARGET_WAIT_MS, signal: context.signal };
    await waitUntil(isStopped, of);
  }

  /**
   * Opens the gates and resumes the pod once CRIU has detached. The journal has the stage before the first gate opens,
   * so a restarted agent reads from the plugin's report whether the tasks have run.
   */
  async openGates(request: T, context: Context): Promise<void> {
    const { journal, gates } = this.#deps;
    const { uid } = request.metadata;
    const entry = this.#entry(request);
    if (entry.stage !== 'Resuming') await this.#checkAllAtGate(entry);
    const resuming: Entry = {
      ...entry,
      stage: 'Resuming',
      steps: beginOnce(entry.steps, 'resume'),
    };
    await journal.put(resuming);
    await withFaults('target.open', async () => {
      for (const { name } of entry.containers) gates.openResumeGate(uid, name);
    });
    const states = await this.#waitForDetach(resuming, context);
    if (states.detached() === 'all') return this.resume(resuming);
    if (!states.isUnrestorable()) return this.retryRestore(request);
    // The other containers resume all the same: the source is stopped.
    await this.#resumePod(resuming);
  }

  /** Takes the target back to its gate: peers have not heard it, so its containers can be restored again. */
  async retryRestore(request: T): Promise<void> {
    await this.#deps.journal.put({ ...this.#entry(request), stage: 'AtResumeGate' });
    throw new AgentError(
      'Internal',
      'CRIU ended before it had detached: the agent restores again.',
    );
  }

  /** The request has finished: resumes the containers that could be restored. */
  async openRemainingGates(request: T): Promise<void> {
    const entry = this.#entry(request);
    for (const { name } of entry.containers) this.#deps.gates.openResumeGate(entry.id, name);
    await this.resume(entry);
  }

  /** Unlocks, announces and resumes the pod. Until CRIU has detached, no peer may hear it. */
  async resume(entry: Entry): Promise<void> {
    await this.#resumePod(entry);
    const steps = endStep(entry.steps, 'resume');
    for (const step of steps) {
      const seconds = secondsOf(step);
      if (seconds !== undefined) stepSeconds.observe({ role: 'target', step: step.name }, seconds);
    }
    await this.#deps.journal.put({ ...entry, stage: 'Running', steps });
  }

  /**
   * Checks again what the decision may have outlasted.
   * @throws AgentError Internal if a container must be restored again first
   */
  async #checkAllAtGate(entry: Entry): Promise<void> {
    // A container that was killed meanwhile never ran. With its gate open it would look as if it had.
    if ((await this.#containers.read(entry)).missing().length > 0) {
      throw new AgentError('Internal', 'Not every container waits at its gate: the agent retries.');
    }
    // A container that the kubelet kills before its gate opens is restored again; after, it is lost.
    const late = this.#containers.lateContainer(entry, this.#clock.now());
    if (late === undefined) return;
    const message =
      `The create of container ${late} has taken so long that the kubelet may give it up: ` +
      'the agent restores it again.';
    this.#deps.gates.refuseAtResumeGate(entry.id, late, message);
    throw new AgentError('Internal', message);
  }

  /** A pod that is gone, with its namespace or its node, needs no resume. */
  async #resumePod({ netns }: Entry): Promise<void> {
    try {
      if (netns !== undefined) await this.#deps.restorer.resumePod(netns);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

  /**
   * Waits until CRIU has detached from every container or has ended.
   * @throws AgentError Internal when CRIU takes too long: the next run observes it again
   */
  async #waitForDetach(entry: Entry, { signal }: Context): Promise<ContainerStates> {
    const endedStates = async (): Promise<ContainerStates | false> => {
      const states = await this.#containers.read(entry);
      return this.#containers.haveRestoresEnded(entry, states) && states;
    };
    const of = { clock: this.#clock, waitMs: DETACH_TIMEOUT_MS, signal };
    const states = await waitUntil(endedStates, of);
    if (states) return states;
    throw new AgentError(
      'Internal',
      'CRIU has not detached from every container: the agent looks again.',
    );
  }

  #entry(request: T): Entry {
    return entryOf(this.#deps.journal, this.#deps.kind, request);
  }
}
