// SPDX-License-Identifier: Apache-2.0
// The steps of a source until its images are sent: LockNetwork, HoldDevice, FreezeTasks, DumpContainers, SendImages.
// Each step has a limit, is in the journal before its effect, and can be repeated.
import {
  bandwidthOf,
  podIPConnectionsOf,
  secondsOfStep,
  timeoutsOf,
  type LimitedStep,
  type MigrationRequest,
  type Nak,
  type SourceState,
} from '../../../../crds/src/index.ts';
import {
  keyOf,
  realClock,
  timestamp,
  withFaults,
  type Clock,
  type Context,
  type Pod,
} from '../../../../kube/src/index.ts';
import { startOrder } from '../../callers/request-lookup.ts';
import { checkBandwidth, leastSent } from '../bandwidth.ts';
import { checkDiskRoom } from '../disk-room.ts';
import { dumpFrozen } from '../frozen-dump.ts';
import { checkStillInBudget, peerLimits, type PeerLimits } from '../peer-limits.ts';
import type { LocalPod } from '../../node/dump/checkpointer.ts';
import { checkComplete, checkUnchanged } from '../../node/dump/preconditions.ts';
import { PlainFiles } from '../../node/transfer/image-files.ts';
import { AgentError, reasonOf } from '../../support/errors.ts';
import { isGivenTo } from '../../support/given-addresses.ts';
import { furtherAddresses } from '../../support/kept-by.ts';
import type { Entry, Stage } from '../../support/journal/journal.ts';
import { stepSeconds } from '../../support/metrics.ts';
import { beginOnce, endStep, secondsOf } from '../../support/step-times.ts';
import { claimPod } from '../claim.ts';
import { receiverAddress } from '../receiver-address.ts';
import type { RunningWork } from '../running-work.ts';
import { blackoutDeadline, deadlineField, type LocalDeadlines } from '../local-deadlines.ts';
import type { VolatileState } from './volatile-state.ts';
import {
  clusterAddresses,
  containerIds,
  entryOf,
  isLost,
  keptAddressesField,
  limitOf,
  lostAddressesFields,
  lostMessage,
  podName,
  podUid,
  withNaks,
} from './journal-entry.ts';
import { missingPod } from './missing-pod.ts';
import { addressesOf, type SourceDependencies } from './observe.ts';
import type { SourceReport } from './report.ts';

type StepStage = Extract<Stage, 'Holding' | 'Freezing' | 'Dumping' | 'Transferring'>;

/** The step that each stage times, and the state that the agent reports meanwhile. */
export const stepOf: Record<StepStage, { step: LimitedStep; state: SourceState }> = {
  Holding: { step: 'hold', state: 'Holding' },
  Freezing: { step: 'freeze', state: 'Holding' },
  Dumping: { step: 'dump', state: 'Dumping' },
  Transferring: { step: 'transfer', state: 'Transferring' },
};

export class SourceSteps {
  readonly #deps: SourceDependencies;
  readonly #volatile: VolatileState;
  readonly #report: SourceReport;
  readonly #running: RunningWork;
  readonly #deadlines: LocalDeadlines;
  readonly #clock: Clock;

  constructor(
    deps: SourceDependencies,
    parts: {
      volatile: VolatileState;
      report: SourceReport;
      running: RunningWork;
      deadlines: LocalDeadlines;
    },
  ) {
    this.#deps = deps;
    this.#volatile = parts.volatile;
    this.#report = parts.report;
    this.#running = parts.running;
    this.#deadlines = parts.deadlines;
    this.#clock = deps.clock ?? realClock;
  }

  async lockNetwork(request: MigrationRequest, context: Context): Promise<void> {
    this.#checkUndecided(request);
    const described = await this.#deps.pods.getPod(podName(request));
    this.#volatile.add(request.metadata.uid, { annotations: described.metadata.annotations });
    const pod = await this.#findPod(request, described);
    checkComplete(pod.containers, startOrder(described));
    claimPod(this.#deps.journal, podName(request), request.metadata.uid);
    // An agent before this one may have locked the pod. What the lock does to it is no reason to refuse it then.
    if (this.#mayBeLocked(request)) {
      const isProbed = this.#entry(request).probes !== undefined;
      if (isProbed) await this.#withinLimit(request, async () => this.#deps.probes?.inPlace());
      const entry = await this.#lockingEntry(request, pod, described);
      return this.#lock(request, context, { pod, entry });
    }
    await this.#checkUntouched(request, pod, described);
    const { checkpointer, journal, store } = this.#deps;
    const { uid } = request.metadata;
    try {
      const entry = await this.#lockingEntry(request, pod, described);
      if (entry.probes) {
        await journal.put(entry);
        await this.#withinLimit(request, (signal) => this.#takeProbes(entry.probes, signal));
      }
      // They would share the processors with what makes the pod stand still.
      await checkpointer.startDumps(pod, uid);
      // The pod has run meanwhile.
      await this.#checkFabric(request, pod, described);
      await checkpointer.checkAddresses(pod, request.status?.targetAgent?.gids);
      await this.#lock(request, context, { pod, entry });
    } catch (error) {
      await checkpointer.giveUpDumps(pod);
      if (!journal.get(uid, 'source'))
        await Promise.all([store.remove(uid), this.#deps.removeWork(uid)]);
      throw error;
    }
  }

  /** The processes may have opened files and contexts and made objects since the inspection. */
  async #checkUntouched(request: MigrationRequest, pod: LocalPod, described: Pod): Promise<void> {
    const { checkpointer } = this.#deps;
    const addresses = clusterAddresses(request, described);
    const connections = podIPConnectionsOf(request);
    await checkpointer.checkProcesses(pod, addresses, connections);
    if (connections === 'Reset' && addresses.length > 0) {
      const lostConnections = await checkpointer.lostConnections(pod, addresses);
      this.#volatile.add(request.metadata.uid, { lostConnections });
    }
    await checkpointer.checkDevices(pod);
    await this.#checkFabric(request, pod, described);
    await checkpointer.checkAddresses(pod, request.status?.targetAgent?.gids);
    const least = await leastSent(request, checkpointer, pod);
    checkBandwidth(request, least);
    const { store, nodeName } = this.#deps;
    await checkDiskRoom(store, nodeName, least);
    await this.#peerLimits(request, pod, least);
  }

  #mayBeLocked(request: MigrationRequest): boolean {
    const entry = this.#deps.journal.get(request.metadata.uid, 'source');
    return entry?.steps?.some(({ name }) => name === 'hold') ?? false;
  }

  async #lockingEntry(request: MigrationRequest, pod: LocalPod, described: Pod): Promise<Entry> {
    const sandboxId = pod.containers[0]?.sandboxId ?? '';
    const given = await this.#deps.fabricAddresses?.givenTo(sandboxId, furtherAddresses(described));
    const before = this.#entry(request);
    return {
      ...before,
      stage: 'Locking',
      netns: pod.netns,
      containers: pod.containers.map(({ id, name }) => ({ id, name })),
      ...deadlineField(blackoutDeadline(this.#deadlines, request, before)),
      probes: await this.#deps.probes?.probesOf(pod.netns, described),
      ...keptAddressesField(request),
      ...lostAddressesFields(request, clusterAddresses(request, described)),
      ...(given?.length ? { fabricAddresses: given } : {}),
    };
  }

  async #lock(
    request: MigrationRequest,
    context: Context,
    { pod, entry }: { pod: LocalPod; entry: Entry },
  ): Promise<void> {
    this.#checkUndecided(request);
    const { certificateDir, connections } = this.#deps;
    // Its handshake ends while the pod is locked and dumped.
    connections?.prepare({ ...receiverAddress(request), certificateDir });
    // The blackout begins with the lock, so the step `hold` does too.
    const steps = beginOnce(entry.steps, 'hold', this.#stepDeadline(request, 'hold'));
    await this.#deps.journal.put({ ...entry, steps });
    this.#report.progress(request, 'Holding', context);
    const { namespace, name } = request.metadata;
    const sandboxId = pod.containers[0]?.sandboxId ?? '';
    await this.#withinLimit(request, async () => {
      // Whatever deletes the pod later on, its addresses are not given to another one.
      await this.#deps.podIp?.reserve(entry.addresses ?? []);
      await this.#deps.fabricAddresses?.reserve(sandboxId, entry.fabricAddresses ?? []);
      await this.#deps.checkpointer.lockNetwork(pod, `MigrationRequest ${namespace}/${name}`);
    });
  }

  /** A pod whose probes get no answer may be killed by its kubelet in the middle of the move. @throws AgentError LockFailed */
  async #takeProbes(probes: Entry['probes'], signal: AbortSignal): Promise<void> {
    await this.#deps.probes?.inPlace();
    if (probes) await this.#deps.probes?.openProbesEnd(probes, signal);
  }

  /**
   * The target has the pod's addresses of now. Else the agent reports them, and waits for the target's.
   * @throws Error nothing has failed: the next run does so
   */
  async #checkFabric(request: MigrationRequest, pod: LocalPod, described: Pod): Promise<void> {
    const fabric = await this.#deps.checkpointer.fabric(pod, isGivenTo(described));
    this.#volatile.addFabric(request.metadata.uid, fabric);
    if (addressesOf(request, fabric))
      throw new Error('the addresses of the pod have changed: its target gets them first');
  }

  /**
   * Holds the device. If the pod's peers have a retry limit, the agent first reports their retry budget, because the
   * target must not commit after its end. It reports a duration, because the target's clock is another one. The target
   * counts from its first reading: before the hold begins or, at worst, as late as its watch.
   */
  async holdDevice(request: MigrationRequest, context: Context): Promise<void> {
    const { answer, budgetMs } = await this.#peerLimits(request, await this.#findPod(request));
    if (budgetMs !== undefined && this.#entry(request).peerDeadline === undefined) {
      this.#checkUndecided(request);
      this.#volatile.add(request.metadata.uid, { peerBudgetMs: budgetMs });
      await this.#withinLimit(request, () =>
        this.#report.write(request, { state: 'Holding' }, context.signal),
      );
      const peerDeadline = timestamp(this.#clock.now() + budgetMs);
      await this.#deps.journal.put({ ...this.#entry(request), peerDeadline });
    }
    return this.#runStep(request, 'Holding', context, (pod) =>
      this.#deps.checkpointer.holdDevice(pod, answer),
    );
  }

  async freezeTasks(request: MigrationRequest, context: Context): Promise<void> {
    return this.#runStep(request, 'Freezing', context, async (pod, signal) => {
      await this.#deps.checkpointer.freezeTasks(pod, signal);
      const reported = request.status?.sourceAgent?.peerBudgetMs;
      const known = this.#volatile.get(request.metadata.uid).peerBudgetMs ?? reported;
      checkStillInBudget(known, await this.#peerLimits(request, pod));
    });
  }

  async dumpContainers(request: MigrationRequest, context: Context): Promise<void> {
    const { uid } = request.metadata;
    return this.#runStep(request, 'Dumping', context, async (pod, signal) => {
      const { resets, lostAddresses: addresses = resets ?? [] } = this.#entry(request);
      const lost = { addresses, connections: resets ? 'Reset' : 'Refuse' } as const;
      const dumped = await dumpFrozen(this.#deps.checkpointer, pod, uid, lost, signal);
      const { lostConnections, ...found } = dumped;
      this.#volatile.add(uid, { ...found, ...(resets && { lostConnections }) });
    });
  }

  async sendImages(request: MigrationRequest, context: Context): Promise<void> {
    const { uid } = request.metadata;
    const receiver = receiverAddress(request);
    const { bytesPerSecond } = bandwidthOf(request.status?.policy) ?? {};
    if (bytesPerSecond !== undefined) this.#volatile.add(uid, { bytesPerSecond });
    const { header } = this.#volatile.get(uid);
    if (!header)
      throw new AgentError(
        'CheckpointFailed',
        'The source node has no images to send. Create a new request.',
      );
    await this.#runStep(request, 'Transferring', context, async (_pod, signal) => {
      await withFaults('source.transfer', () =>
        this.#deps.send({
          ...receiver,
          id: uid,
          images: new PlainFiles(this.#deps.store.dir(uid)),
          manifest: header,
          certificateDir: this.#deps.certificateDir,
          bytesPerSecond,
          // A target that has whole images can restore them, even if this node is lost a moment later.
          sealed: async (digest) => {
            this.#volatile.add(uid, { checkpointDigest: digest });
            await this.#report.write(request, { state: 'Transferring' }, signal);
          },
          signal,
        }),
      );
    });
    const naks = await this.#naks(request);
    await this.#deps.journal.put({ ...withNaks(this.#entry(request), naks), stage: 'Sent' });
  }

  /** Of the time of dump and transfer: the target knows them then even if this node is lost. The agent looks again when it stops the pod. */
  async #naks(request: MigrationRequest): Promise<Nak[]> {
    try {
      const { naks } = await this.#deps.checkpointer.naks(await this.#findPod(request));
      return naks;
    } catch {
      return [];
    }
  }

  /**
   * By the pod's annotations at its lock: to ask the API server again would lengthen the blackout.
   * @throws AgentError PeerRetryBudgetTooShort, BadAnnotation
   */
  async #peerLimits(
    request: MigrationRequest,
    pod: LocalPod,
    memoryBytes = 0,
  ): Promise<PeerLimits> {
    const known = this.#volatile.get(request.metadata.uid).annotations;
    const annotations =
      known ?? (await this.#deps.pods.getPod(podName(request))).metadata.annotations;
    return peerLimits(this.#deps.checkpointer, pod, annotations, {
      accepted: request.status?.peers,
      timeouts: request.spec.timeouts,
      memoryBytes,
      bandwidth: bandwidthOf(request.status?.policy),
    });
  }

  /** Records the step, does its work within its limit, and records its end. */
  async #runStep(
    request: MigrationRequest,
    stage: StepStage,
    context: Context,
    work: (pod: LocalPod, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    this.#checkUndecided(request);
    const { step, state } = stepOf[stage];
    const before = this.#entry(request);
    const begun = beginOnce(before.steps, step, this.#stepDeadline(request, step));
    await this.#deps.journal.put({ ...before, stage, steps: begun });
    // The state `Holding` has been reported, for the operator, which waits for the end of a hold.
    this.#report.mention(request, { state }, context).catch(() => undefined);
    const pod = await this.#findPod(request);
    checkUnchanged(pod.containers, before.containers);
    await this.#withinLimit(request, (signal) => work(pod, signal));
    const steps = endStep(begun, step);
    const ended = steps.find((one) => one.name === step);
    const seconds = ended && secondsOf(ended);
    if (seconds !== undefined) stepSeconds.observe({ role: 'source', step }, seconds);
    const { journal } = this.#deps;
    await journal.note(request.metadata.uid, 'source', (now = before) => ({ ...now, steps }));
  }

  /** Does the work within the step's limit. Its signal aborts at the limit, and when there is a decision. */
  #withinLimit<R>(
    request: MigrationRequest,
    work: (signal: AbortSignal) => Promise<R>,
  ): Promise<R> {
    const limit = limitOf(request, this.#entry(request));
    return this.#running.run(request.metadata.uid, limit, async (signal) => {
      this.#checkUndecided(request);
      return work(signal);
    });
  }

  /** When a step that begins now must end. */
  #stepDeadline(request: MigrationRequest, step: LimitedStep): string {
    return timestamp(this.#clock.now() + secondsOfStep(timeoutsOf(request), step) * 1000);
  }

  /**
   * The pod, with the containers that it had when the agent locked it.
   * @param described the pod as the API server has it, before the agent has begun
   * @throws AgentError SourceLost, PodCompleted; CompletionUnknown
   */
  async #findPod(request: MigrationRequest, described?: Pod): Promise<LocalPod> {
    const { uid } = request.metadata;
    const entry = this.#deps.journal.get(uid, 'source');
    const lost = (cause?: unknown) =>
      new AgentError('SourceLost', lostMessage(podName(request).pod), { cause });
    try {
      const pod = await this.#deps.checkpointer.findPod(podUid(request));
      if (!entry || !isLost(entry, containerIds(pod.containers))) return pod;
    } catch (error) {
      if (reasonOf(error).code !== 'PodNotFound') throw error;
      if (entry || !described) throw lost(error);
      const missingMs = this.#volatile.missing(uid, this.#clock.now());
      throw missingPod(podName(request).pod, described, missingMs, { cause: error });
    }
    throw lost();
  }

  /** A run takes long: the request may have been decided since it was planned. @throws AgentError Aborted */
  #checkUndecided(request: MigrationRequest): void {
    if (!this.#deps.request(keyOf(request))?.status?.decision) return;
    throw new AgentError('Aborted', 'The request has been decided meanwhile.');
  }

  #entry(request: MigrationRequest): Entry {
    return entryOf(this.#deps.journal, request);
  }
}
