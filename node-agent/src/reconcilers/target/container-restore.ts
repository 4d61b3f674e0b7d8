// SPDX-License-Identifier: Apache-2.0
// StartRestore: prepares each container that waits at the create gate and answers its create with `restore`. The shim
// then runs CRIU.
import { secondsOfStep, timeoutsOf } from '../../../../crds/src/index.ts';
import {
  keyOf,
  realClock,
  timestamp,
  type Clock,
  type Context,
} from '../../../../kube/src/index.ts';
import type { Handover } from '../../callers/request-lookup.ts';
import type { CreateAtGate } from '../../support/gate-waiters.ts';
import type { Entry } from '../../support/journal/journal.ts';
import { beginOnce, beginStep } from '../../support/step-times.ts';
import { deadlineField } from '../local-deadlines.ts';
import { doWithin } from '../step-limits.ts';
import { entryOf, isRecreated, withCreate } from './journal-entry.ts';
import { restoreLimitOf, type Observed, type TargetDependencies } from './observe.ts';
import type { TargetReport } from './report.ts';

export class ContainerRestore<T extends Handover> {
  readonly #deps: TargetDependencies<T>;
  readonly #report: TargetReport<T>;
  readonly #clock: Clock;

  constructor(deps: TargetDependencies<T>, report: TargetReport<T>) {
    this.#deps = deps;
    this.#report = report;
    this.#clock = deps.clock ?? realClock;
  }

  /** @throws AgentError, DeadlineError when a container cannot be prepared */
  async startAll(observed: Observed<T>, context: Context): Promise<void> {
    for (const create of this.#deps.gates.listAtCreateGate(observed.request.metadata.uid)) {
      await this.#start(create, observed, context);
    }
  }

  async #start(create: CreateAtGate, observed: Observed<T>, context: Context): Promise<void> {
    const { journal, gates, restorer } = this.#deps;
    const { request } = observed;
    const { uid } = request.metadata;
    const before = this.#entry(request);
    const netns = await restorer.netns(create);
    const resets = await restorer.lostAddresses(observed.imageId);
    const ownsPodFiles = unpacksPodFiles(before, create);
    const entry: Entry = {
      ...before,
      stage: 'Restoring',
      // The entry may be older than the operator's note of the pod.
      podUid: create.podUid,
      netns,
      containers: withCreate(before, create),
      ...(resets.length > 0 && { resets: [...resets] }),
      ...deadlineField(observed.deadline),
      steps: this.#beginRestore(before, create, request),
      reason: undefined,
      message: undefined,
    };
    await journal.put(entry);
    gates.forgetPassed(uid, create.container);
    this.#report.mention(request, { state: 'Restoring' }, context).catch(() => undefined);
    // After Committed the target is the pod's only copy, so the step's limit does not count any more.
    const limit = observed.decision ? undefined : restoreLimitOf(request, entry);
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, context.signal]);
    const reply = await doWithin(limit, this.#clock, stop, () =>
      this.#prepare(create, observed, { podFiles: ownsPodFiles, resets, signal }),
    );
    if (ownsPodFiles && create.containers.length > 1) {
      await journal.put({ ...this.#entry(request), filesIn: create.sandboxId });
    }
    gates.answerCreate(uid, create.container, reply);
  }

  /** A create that asks again continues the step; a container that is made again begins it anew. */
  #beginRestore(before: Entry, create: CreateAtGate, request: T): Entry['steps'] {
    const seconds = secondsOfStep(timeoutsOf(request), 'restore');
    const deadline = timestamp(this.#clock.now() + seconds * 1000);
    const isSameContainer = before.stage === 'Restoring' && !isRecreated(before, create);
    return isSameContainer
      ? beginOnce(before.steps, 'restore', deadline)
      : beginStep(before.steps, 'restore', undefined, deadline);
  }

  async #prepare(
    create: CreateAtGate,
    { request, imageId }: Observed<T>,
    options: { podFiles: boolean; resets: readonly string[]; signal: AbortSignal },
  ) {
    const { podFiles, signal } = options;
    const { restorer, kind } = this.#deps;
    const digest = request.kind === 'RestoreRequest' ? request.status?.digest : undefined;
    const images = { requestUid: request.metadata.uid, imageId, digest };
    if (request.kind === 'RestoreRequest' && podFiles) {
      await restorer.verifyImages({ ...images, signal });
    }
    return restorer.prepareRestore({
      ...images,
      create,
      request: `${request.kind} ${keyOf(request)}`,
      qpState: kind === 'RestoreRequest' ? 'error' : 'keep',
      answer: create.answer,
      ...options,
    });
  }

  #entry(request: T): Entry {
    return entryOf(this.#deps.journal, this.#deps.kind, request);
  }
}

/**
 * Whether this container's restore unpacks the files that the pod's containers share. Only the first of a sandbox does:
 * a second one would replace files that a restored container has open.
 */
function unpacksPodFiles(entry: Entry, { sandboxId, container }: CreateAtGate): boolean {
  const isOtherRestored = entry.containers.some(
    (one) => one.name !== container && one.id !== undefined,
  );
  return entry.filesIn !== sandboxId || !isOtherRestored;
}
