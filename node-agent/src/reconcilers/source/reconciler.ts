// SPDX-License-Identifier: Apache-2.0
// The source's side of MigrationRequests whose pod runs on this node.
import {
  bandwidthOf,
  podIPConnectionsOf,
  type MigrationRequest,
} from '../../../../crds/src/index.ts';
import {
  keyOf,
  migrationRequests,
  proposeDecision,
  realClock,
  withFaults,
  type Clock,
  type Context,
  type Plan,
} from '../../../../kube/src/index.ts';
import { startOrder } from '../../callers/request-lookup.ts';
import { checkBandwidth, leastSent } from '../bandwidth.ts';
import { checkDiskRoom } from '../disk-room.ts';
import { peerLimits } from '../peer-limits.ts';
import {
  AgentError,
  failureFields,
  isTransient,
  reasonOf,
  type Failure,
} from '../../support/errors.ts';
import type { LocalPod } from '../../node/dump/checkpointer.ts';
import type { KeptNaks } from '../../node/device/kept-naks.ts';
import { isGivenTo } from '../../support/given-addresses.ts';
import type { Entry } from '../../support/journal/journal.ts';
import { beginStep, endStep } from '../../support/step-times.ts';
import { withDiagnosticsPath } from '../diagnostics-path.ts';
import type { HandoverReconciler } from '../handover-loop.ts';
import { isTargetAnswering, SOURCE_WAIT_MS, waitUntil } from '../handover-waits.ts';
import { withRemedy } from '../remedy.ts';
import { RunningWork } from '../running-work.ts';
import { LocalDeadlines } from '../local-deadlines.ts';
import { decideSource, type SourceEffect, type SourceStatus } from './decide.ts';
import { VolatileState } from './volatile-state.ts';
import {
  clusterAddresses,
  connectionsOf,
  entryOf,
  isLost,
  lockedPodOf,
  lostMessage,
  podName,
  podUid,
  withNaks,
} from './journal-entry.ts';
import { inspect, podMemory } from './inspect.ts';
import { missingPod } from './missing-pod.ts';
import { addressesOf, SourceObserver, type Observed, type SourceDependencies } from './observe.ts';
import { SourceReport } from './report.ts';
import { SourceSteps } from './steps.ts';

/** The agent repeats these until they succeed: a decision stands, or must be recorded. */
const repeatedEffects: ReadonlySet<SourceEffect['type']> = new Set([
  'ProposeAbort',
  'ResumeSource',
  'AllowRestart',
  'AwaitTargetAnswering',
  'StopSource',
] as const);

const unwritable = 'the journal cannot be written: what the decision asks for is done without it';

export class SourceReconciler implements HandoverReconciler<Observed, SourceEffect, SourceStatus> {
  readonly #deps: SourceDependencies;
  readonly #clock: Clock;
  readonly #volatile = new VolatileState();
  readonly #deadlines: LocalDeadlines;
  readonly #observer: SourceObserver;
  readonly #report: SourceReport;
  readonly #running: RunningWork;
  readonly #steps: SourceSteps;

  constructor(deps: SourceDependencies) {
    this.#deps = deps;
    this.#clock = deps.clock ?? realClock;
    this.#deadlines = new LocalDeadlines(this.#clock);
    this.#observer = new SourceObserver(deps, this.#volatile, this.#deadlines);
    this.#report = new SourceReport(deps, this.#volatile);
    this.#running = new RunningWork(this.#clock);
    this.#steps = new SourceSteps(deps, {
      volatile: this.#volatile,
      report: this.#report,
      running: this.#running,
      deadlines: this.#deadlines,
    });
  }

  async observe(key: string): Promise<Observed | undefined> {
    return this.#observer.observe(key);
  }

  decide(observed: Observed, now: number): Plan<SourceEffect, SourceStatus> {
    return decideSource(observed, now);
  }

  /** Stops packing and sending once there is a decision. */
  interrupt(request: MigrationRequest): void {
    if (request.status?.decision) this.#running.stop(request.metadata.uid);
  }

  forget(uid: string): void {
    this.#volatile.forget(uid);
    this.#report.forget(uid);
    this.#running.forget(uid);
    this.#deadlines.forget(uid);
  }

  async act(effect: SourceEffect, observed: Observed, context: Context): Promise<void> {
    const { request } = observed;
    switch (effect.type) {
      case 'InspectPod':
        return this.#inspectPod(request);
      case 'ListFindings':
        return this.#listFindings(request);
      case 'LockNetwork':
        return this.#steps.lockNetwork(request, context);
      case 'HoldDevice':
        return this.#steps.holdDevice(request, context);
      case 'FreezeTasks':
        return this.#steps.freezeTasks(request, context);
      case 'DumpContainers':
        return this.#steps.dumpContainers(request, context);
      case 'SendImages':
        return this.#steps.sendImages(request, context);
      case 'ProposeAbort':
        return this.#proposeAbort(request, effect, context);
      case 'ResumeSource':
        return this.#resumeSource(request, context);
      case 'AllowRestart':
        return this.#deps.journal.put({ ...this.#entry(request), stage: 'Resumed' });
      case 'AwaitTargetAnswering':
        return this.#awaitTargetAnswering(request, context);
      case 'StopSource':
        return this.#stopSource(request, context);
    }
  }

  async failed(error: unknown, effect: SourceEffect, observed: Observed): Promise<void> {
    if (repeatedEffects.has(effect.type) || effect.type === 'ListFindings') return;
    const failure = withRemedy('MigrationRequest', reasonOf(error));
    const { uid } = observed.request.metadata;
    const isBegun = this.#deps.journal.get(uid, 'source') !== undefined;
    if (effect.type === 'LockNetwork' && !isBegun) {
      this.#deps.journal.unclaim(podUid(observed.request), uid);
    }
    // The agent has begun nothing, so there is nothing to undo.
    if (effect.type === 'InspectPod' || (effect.type === 'LockNetwork' && !isBegun)) {
      if (error instanceof AgentError) this.#volatile.refuse(uid, failure);
      return;
    }
    if (effect.type === 'SendImages' && isTransient(failure.code)) return;
    // A decision came in between: the effect did not fail.
    if (failure.code === 'Aborted') return;
    await this.#recordFailure(observed.request, failure);
  }

  async publish(status: SourceStatus, observed: Observed, context: Context): Promise<void> {
    const entry = this.#deps.journal.get(observed.request.metadata.uid, 'source');
    // Nobody waits for it: the target has the images, and `Gone` or `Resumed` follows. But this node may be lost before.
    if (status.state === 'Sent' && entry?.stage === 'Sent') {
      if (entry.naks) return this.#report.progress(observed.request, 'Sent', context);
      return this.#report.mention(observed.request, status, context);
    }
    await this.#report.write(observed.request, this.#outcome(status, entry), context.signal);
  }

  /** The planned status, corrected by the journal: only ResumeSource finds out whether the pod is lost. */
  #outcome(status: SourceStatus, entry: Entry | undefined): SourceStatus {
    if (entry?.stage === 'Lost') {
      const { reason, message } = entry;
      return { state: 'Lost', ...(reason && { reason }), ...(message && { message }) };
    }
    if (entry?.stage !== 'Resumed' || status.message !== undefined) return status;
    const message = this.#deps.diagnostics?.pointTo('The pod resumed on its source node.', entry);
    return { ...status, ...(message && { message }) };
  }

  #entry(request: MigrationRequest): Entry {
    return entryOf(this.#deps.journal, request);
  }

  async #recordFailure(request: MigrationRequest, { code, message }: Failure): Promise<void> {
    const { journal, store, diagnostics } = this.#deps;
    // The images may be what fills the disk that the journal is on. Nobody needs them: the request is to be aborted.
    if (code === 'DiskFull') await store.remove(request.metadata.uid).catch(() => undefined);
    const entry = this.#entry(request);
    const located = withDiagnosticsPath(diagnostics, message, entry);
    // A restarted agent repeats the step, or finds its limit.
    await journal.putIfPossible({ ...entry, ...failureFields({ code, message: located }) });
  }

  /** Finds out what would make the move fail, while nothing is locked. */
  async #inspectPod(request: MigrationRequest): Promise<void> {
    const pod = await this.#deps.pods.getPod(podName(request));
    const { uid } = request.metadata;
    try {
      const addresses = clusterAddresses(request, pod);
      const { checkpointer } = this.#deps;
      const found = await checkpointer.inspectPod(
        ...([podUid(request), startOrder(pod), addresses, podIPConnectionsOf(request)] as const),
      );
      await this.#countConnections(request, found, addresses);
      const fabric = await checkpointer.fabric(found, isGivenTo(pod));
      this.#volatile.addFabric(uid, fabric);
      const memory = await checkpointer.memory(found);
      this.#volatile.addMemory(uid, memory, request.status?.sourceAgent?.memory);
      // The target does not have them all yet.
      if (!addressesOf(request, fabric))
        await checkpointer.checkAddresses(found, request.status?.targetAgent?.gids);
      const least = await leastSent(request, checkpointer, found);
      checkBandwidth(request, least);
      await checkDiskRoom(this.#deps.store, this.#deps.nodeName, least);
      await peerLimits(checkpointer, found, pod.metadata.annotations, {
        accepted: request.status?.peers,
        timeouts: request.spec.timeouts,
        memoryBytes: least,
        bandwidth: bandwidthOf(request.status?.policy),
      });
    } catch (error) {
      // The pod ran when the operator accepted the request.
      if (reasonOf(error).code !== 'PodNotFound') throw error;
      const missingMs = this.#volatile.missing(uid, this.#clock.now());
      throw missingPod(podName(request).pod, pod, missingMs, { cause: error });
    }
    this.#volatile.found(uid);
    this.#volatile.refuse(uid, undefined);
  }

  /** For a dry run. An error that is no finding is tried again; the operator waits for a while. */
  async #listFindings(request: MigrationRequest): Promise<void> {
    const { uid } = request.metadata;
    const inspection = await inspect(request, this.#deps);
    this.#volatile.addMemory(uid, await podMemory(request, this.#deps), undefined);
    this.#volatile.add(uid, { inspection });
  }

  /** Once: each report lets the agent look again, and the number may never be the same twice. */
  async #countConnections(
    request: MigrationRequest,
    pod: LocalPod,
    addresses: readonly string[],
  ): Promise<void> {
    if (connectionsOf(request) === undefined) return;
    const lostConnections = await this.#deps.checkpointer.lostConnections(pod, addresses);
    this.#volatile.add(request.metadata.uid, { lostConnections });
  }

  async #proposeAbort(
    request: MigrationRequest,
    { reason, message }: { reason: string; message: string },
    { signal }: Context,
  ): Promise<void> {
    const { api, nodeName } = this.#deps;
    const proposal = { outcome: 'Aborted', by: `agent/${nodeName}`, reason, message } as const;
    await withFaults('source.abort', () =>
      proposeDecision(api, migrationRequests, request, proposal, { signal }),
    );
  }

  async #resumeSource(request: MigrationRequest, { log }: Context): Promise<void> {
    const { journal, checkpointer, diagnostics } = this.#deps;
    const before = this.#entry(request);
    await this.#running.waitForEnd(request.metadata.uid);
    // Read before anything runs again: a container that ends by itself afterwards is not lost.
    const lost =
      before.lost ?? isLost(before, await checkpointer.runningContainerIds(podUid(request)));
    const failure = lost ? { code: 'SourceLost', message: lostMessage(before.pod) } : undefined;
    const steps = beginStep(before.steps, 'resume');
    const entry: Entry = { ...before, ...failureFields(failure), lost, steps };
    // No pod waits for a disk: the next agent reads Aborted from the API server, and does the same again.
    if (!(await journal.putIfPossible(entry))) log.warn(unwritable);
    await checkpointer.resumePod(lockedPodOf(journal, request));
    const ended = endStep(entry.steps, 'resume');
    // The pod runs again, so the diagnostics lengthen no pause.
    await diagnostics?.keep(entry, request);
    await this.#removeImages(request);
    await journal.put({ ...entry, stage: lost ? 'Lost' : 'Resumed', steps: ended });
  }

  /** The held device answers the peers until the target's does. */
  async #awaitTargetAnswering(request: MigrationRequest, { signal }: Context): Promise<void> {
    // If the request is deleted by force now, the orphan sweep must know that it was committed.
    await this.#deps.journal.putIfPossible({ ...this.#entry(request), decided: 'Committed' });
    const isAnswering = () => {
      const now = this.#deps.request(keyOf(request));
      return now?.metadata.uid !== request.metadata.uid || isTargetAnswering(now);
    };
    const changes = this.#deps.wakes?.changesOf(keyOf(request));
    await waitUntil(isAnswering, { clock: this.#clock, waitMs: SOURCE_WAIT_MS, signal, changes });
  }

  /** Stops the pod for good. From this stage on the agent refuses every `create` of it. */
  async #stopSource(request: MigrationRequest, context: Context): Promise<void> {
    const { journal, checkpointer } = this.#deps;
    // The target runs soon, whatever this node's disk does: its source must be silent then.
    if (!(await journal.putIfPossible({ ...this.#entry(request), stage: 'Stopping' })))
      context.log.warn(unwritable);
    const failure = await checkpointer.stopPod(lockedPodOf(journal, request), (found) =>
      this.#keepNaks(request, found, context.log),
    );
    if (failure) context.log.warn({ failure }, 'peers of connections that have ended got no reset');
    // The target waits for this report, and removing large images takes time.
    this.#report.progress(request, 'Gone', context);
    // Before the final stage, after which the agent does nothing more for the request.
    await this.#removeImages(request);
    await journal.put({ ...this.#entry(request), stage: 'Gone' });
  }

  /** The report has them, and the tasks are killed before it is sent. Nearly always there are none, and nothing is written. */
  async #keepNaks(
    request: MigrationRequest,
    { naks, failures }: KeptNaks,
    log: Context['log'],
  ): Promise<void> {
    if (failures.length > 0)
      log.warn({ failures }, 'the driver fails to say which NAKs the pod has received');
    const entry = this.#entry(request);
    const kept = withNaks(entry, naks);
    if (kept.naks?.length !== entry.naks?.length) await this.#deps.journal.putIfPossible(kept);
  }

  async #removeImages(request: MigrationRequest): Promise<void> {
    const { uid } = request.metadata;
    await withFaults('source.clean', async () => {
      await this.#deps.store.remove(uid);
      await this.#deps.removeWork(uid);
    });
  }
}
