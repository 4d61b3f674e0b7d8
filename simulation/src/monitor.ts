// SPDX-License-Identifier: Apache-2.0
// The invariants of spec/handover.pml, checked after every step. It also simulates the peers, which remember every operation
// that was acknowledged to them.
import { isDeepStrictEqual } from 'node:util';
import { annotations, isFinished, type Decision } from '../../crds/src/index.ts';
import { newAnsweringRecord, checkAnswering, type AnsweringRecord } from './answering-check.ts';
import { decisionOf } from './api/rules.ts';
import { checkNak, tellSource, type NakRecord } from './nak-check.ts';
import type { StoredObject } from './api/objects.ts';
import { rdmaContainer, type Container, type Machine, type Sandbox } from './node/machine.ts';
import type { Simulation } from './simulation.ts';

export class ViolationError extends Error {
  override readonly name = 'ViolationError';
  readonly code: string;
  constructor(code: string, message: string) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

const told = ({ request, isGone }: Handover, { targetSince }: AnsweringRecord) => ({
  targetSince,
  isReported: (request.status?.['sourceAgent'] as { state?: string } | undefined)?.state === 'Gone',
  isOver: isGone === true || isFinished(request),
});

/** A proposal may reach the API server that much after the agent made it. */
const roundTripMs = 200;
/** A write to a journal takes less; another restore of the container takes far more. */
const writeMs = 20;

interface Handover {
  readonly request: StoredObject;
  decision: Decision | undefined;
  /** Once the decision is Committed. */
  answering: AnsweringRecord | undefined;
  /** The request was deleted. */
  isGone?: boolean;
  /** What a peer has told the source then. */
  nak?: NakRecord | undefined;
  /** Virtual time at which the decision was Aborted. */
  abortedAt?: number;
}

/** What the monitor may rely on under a schedule. */
interface Assumptions {
  /** Nothing is committed after the peers' retry budget. */
  readonly holdsEndInTime: boolean;
  /** No clock jumps. */
  readonly clocksAreSteady: boolean;
  /**
   * If no process, connection or node fails, an aborted pod resumes by then, whatever else its agent does: in the time in
   * which CRIU gives up, and a little more.
   */
  readonly longestAbortMs: number | undefined;
  /** The retry limit of the pod's peers: by then its hold has ended, or the move is committed. */
  readonly longestHoldMs?: number | undefined;
}

export class Monitor {
  readonly #simulation: Simulation;
  readonly #handovers = new Map<string, Handover>();
  /** The last operation that a peer has seen acknowledged, by application and container. */
  readonly #acknowledgedOperations = new Map<string, number>();
  /** Applications whose only copy a fault has destroyed, with the operations that it had done. */
  readonly lostApplications = new Set<string>();
  /** The request that made a target pod, by the pod's UID. */
  readonly #requestUidOf = new Map<string, string>();
  readonly #frozen = new Map<string, Container>();
  /** Virtual time at which a move's source was held, by the pod's UID. */
  readonly #heldSince = new Map<string, number>();
  /** Virtual time at which the checkpoint of a pod was deleted, by the pod's UID. */
  readonly #unwantedSince = new Map<string, number>();
  readonly #assumptions: Assumptions;

  constructor(simulation: Simulation, assumptions: Assumptions) {
    this.#simulation = simulation;
    this.#assumptions = assumptions;
    for (const machine of simulation.machines.values()) {
      machine.onRemove = (container) => this.#containerRemoved(machine, container);
    }
    simulation.store.onChange(({ before, after }) => {
      if (after?.kind === 'MigrationRequest' || after?.kind === 'RestoreRequest') {
        this.#recordDecision(after, before);
      } else if (after?.kind === 'CheckpointRequest') {
        this.#recordUnwanted(after);
      } else if (before?.kind === 'MigrationRequest' && !after) {
        const known = this.#handovers.get(before.metadata.uid);
        if (known) known.isGone = true;
      } else if (after?.kind === 'Pod' && !before) {
        const { uid, annotations: podAnnotations } = after.metadata;
        const requestUid = podAnnotations?.[annotations.requestUid];
        if (requestUid !== undefined) this.#requestUidOf.set(uid, requestUid);
      }
    });
  }

  /** @throws ViolationError */
  check(): void {
    // Each container of an application has one copy at most that runs.
    const running = new Map<string, Container>();
    for (const machine of this.#simulation.machines.values()) {
      for (const sandbox of machine.sandboxes.values()) {
        this.#checkTarget(machine, sandbox);
        if (sandbox.hasReplacedFiles)
          throw new ViolationError('FilesReplaced', `files of ${sandbox.id} were replaced`);
      }
      for (const container of machine.containers.values()) {
        const key = `${container.sandbox.application}/${container.name}`;
        if (container.state === 'Running') {
          const other = running.get(key);
          if (other) {
            throw new ViolationError('TwoRunners', `${other.id} and ${container.id}`);
          }
          running.set(key, container);
        }
        this.#checkSource(container);
        if (container.name === rdmaContainer) this.#exchangeWithPeer(container, key);
        else this.#countAlone(container, key);
      }
    }
    if (this.#assumptions.clocksAreSteady) this.#checkAnswering();
  }

  /** One side of a committed move answers the peers, and the target resumes only when the source is silent. */
  #checkAnswering(): void {
    for (const handover of this.#handovers.values()) {
      const { request, answering, nak } = handover;
      if (!answering || request.kind !== 'MigrationRequest') continue;
      const [target] = this.#sandboxes(
        ({ podUid }) => this.#requestUidOf.get(podUid) === request.metadata.uid,
      );
      const sides = {
        ...{ source: this.#sourceOf(request), target: target?.sandbox },
        targetRuns: target?.states.includes('Running') ?? false,
      };
      const { now } = this.#simulation.timeline;
      const violation =
        checkAnswering(answering, sides, now) ??
        (nak && checkNak(nak, { ...sides, ...told(handover, answering) }, now));
      if (violation) throw new ViolationError(...violation);
    }
  }

  #sourceOf({ status }: StoredObject): Sandbox | undefined {
    const { podUID } = (status?.['source'] ?? {}) as { podUID?: string };
    return this.#sandboxes(({ podUid }) => podUid === podUID)[0]?.sandbox;
  }

  #sandboxes(is: (sandbox: Sandbox) => boolean): { sandbox: Sandbox; states: string[] }[] {
    return [...this.#simulation.machines.values()].flatMap((machine) =>
      [...machine.sandboxes.values()].filter(is).map((sandbox) => ({
        sandbox,
        states: machine.containersOf(sandbox.podUid).map(({ state }) => state),
      })),
    );
  }

  /** A node loses its power, and its containers their memory. */
  nodeLost(machine: Machine): void {
    for (const container of machine.containers.values()) {
      const { state, sandbox, podUid } = container;
      const isCommitted = this.#migrationOf(podUid)?.decision?.outcome === 'Committed';
      if (state === 'Running' || (state === 'Frozen' && !isCommitted))
        this.lostApplications.add(sandbox.application);
      this.#containerRemoved(machine, container);
    }
  }

  /**
   * A target that is killed after its agent has begun to resume it may have been heard. Its images are old then, and it is
   * lost. The journal tells from which moment on, also if the write was under way, or the status, where the disk takes nothing.
   * Before, the agent restores it again.
   */
  #containerRemoved({ journal }: Machine, { state, sandbox }: Container): void {
    if (state !== 'AtResumeGate') return;
    const uid = this.#requestOf(sandbox)?.request.metadata.uid;
    const checkJournal = (): void => {
      const entry = journal.get(`${uid}.target.json`) ?? '';
      const request = uid === undefined ? undefined : this.#handovers.get(uid)?.request;
      const agent = request?.status?.['targetAgent'] as { state?: string } | undefined;
      if (/"stage":"(Resuming|Running)"/.test(entry) || agent?.state === 'Running')
        this.lostApplications.add(sandbox.application);
    };
    checkJournal();
    this.#simulation.timeline.after(writeMs, checkJournal);
  }

  /** A decision may appear once, and never change or vanish. */
  #recordDecision(after: StoredObject, before: StoredObject | undefined): void {
    const { uid } = after.metadata;
    const known = this.#handovers.get(uid) ?? {
      request: after,
      decision: undefined,
      answering: undefined,
    };
    const decision = decisionOf(after);
    if (known.decision && !isDeepStrictEqual(known.decision, decision)) {
      throw new ViolationError('Reversed', `${known.decision.outcome} became ${decision?.outcome}`);
    }
    if (decisionOf(before) && !decision) throw new ViolationError('Reversed', 'a decision is gone');
    if (!known.decision && decision?.outcome === 'Committed') this.#checkRetryBudget(after);
    const isCommitted = decision?.outcome === 'Committed';
    const answering =
      known.answering ??
      (isCommitted ? newAnsweringRecord(this.#simulation.timeline.now) : undefined);
    const { now } = this.#simulation.timeline;
    const isNew = isCommitted && !known.answering;
    const nak = known.nak ?? (isNew ? tellSource(this.#sourceOf(after), now) : undefined);
    const aborted = decision?.outcome === 'Aborted' ? { abortedAt: known.abortedAt ?? now } : {};
    this.#handovers.set(uid, { ...known, request: after, decision, answering, nak, ...aborted });
  }

  /** The target checks its own clock and the source can veto: with one fault, one of the two works. */
  #checkRetryBudget({ status }: StoredObject): void {
    const { source, sourceAgent } = (status ?? {}) as {
      source?: { podUID?: string };
      sourceAgent?: { peerBudgetMs?: number };
    };
    const heldSince = this.#heldSince.get(source?.podUID ?? '');
    const budget = sourceAgent?.peerBudgetMs;
    if (!this.#assumptions.holdsEndInTime || heldSince === undefined || budget === undefined)
      return;
    const held = this.#simulation.timeline.now - heldSince;
    if (held <= budget + roundTripMs) return;
    throw new ViolationError(
      'LateCommit',
      `committed after a hold of ${held} ms, with a budget of ${budget} ms`,
    );
  }

  /** Before Committed no container of a target runs, and the target neither answers nor announces itself. */
  #checkTarget(machine: Machine, sandbox: Sandbox): void {
    const request = this.#requestOf(sandbox);
    if (!request || request.decision?.outcome === 'Committed') return;
    const fail = (what: string): never => {
      throw new ViolationError(
        'EarlyTarget',
        `${sandbox.id} ${what} while ${request.decision?.outcome ?? 'nothing'} is recorded`,
      );
    };
    if (sandbox.announced) fail('announces itself');
    if (sandbox.connected && sandbox.lock !== 'total') fail('is not locked');
    for (const { name, state } of machine.containersOf(sandbox.podUid)) {
      if (state === 'Running') fail(`runs (container ${name})`);
      if (state === 'AtResumeGate' && sandbox.device?.held === false) fail('is not held');
    }
  }

  /** The request whose target the sandbox's pod is. */
  #requestOf(sandbox: Sandbox): Handover | undefined {
    const uid = this.#requestUidOf.get(sandbox.podUid);
    return uid === undefined ? undefined : this.#handovers.get(uid);
  }

  #recordUnwanted({ metadata, status }: StoredObject): void {
    const podUid = status?.['podUID'];
    if (metadata.deletionTimestamp === undefined || typeof podUid !== 'string') return;
    if (!this.#unwantedSince.has(podUid))
      this.#unwantedSince.set(podUid, this.#simulation.timeline.now);
  }

  /** A container that was frozen for a move runs again only after Aborted. */
  #checkSource(container: Container): void {
    this.#checkDeletion(container);
    const move = this.#migrationOf(container.podUid);
    if (!move) return;
    if (container.state === 'Frozen') {
      this.#frozen.set(container.id, container);
      this.#checkAbort(container, move);
    }
    const { podUid, sandbox } = container;
    if (sandbox.device?.held === true) this.#checkHold(podUid, move);
    if (container.state !== 'Running' || !this.#frozen.has(container.id)) return;
    if (move.decision?.outcome !== 'Aborted') {
      throw new ViolationError(
        'EarlyThaw',
        `${container.id} runs while ${move.decision?.outcome ?? 'nothing'} is recorded`,
      );
    }
    this.#frozen.delete(container.id);
  }

  /** No longer is a container frozen for a checkpoint that is deleted. */
  #checkDeletion({ id, podUid, state }: Container): void {
    const since = this.#unwantedSince.get(podUid);
    if (since === undefined || state !== 'Frozen' || this.#migrationOf(podUid)) return;
    const { longestAbortMs = Infinity } = this.#assumptions;
    const passed = this.#simulation.timeline.now - since;
    if (passed > longestAbortMs)
      throw new ViolationError('LateResume', `${id} is frozen ${passed} ms after the deletion`);
  }

  /** A hold ends before the peers give up, unless the target answers them from then on. */
  #checkHold(podUid: string, { decision }: Handover): void {
    const { now } = this.#simulation.timeline;
    const since = this.#heldSince.get(podUid) ?? now;
    this.#heldSince.set(podUid, since);
    const { longestHoldMs = Infinity } = this.#assumptions;
    if (now - since > longestHoldMs && decision?.outcome !== 'Committed')
      throw new ViolationError('LateHold', `${podUid} is held for ${now - since} ms`);
  }

  /** A container of an aborted move stays frozen no longer than CRIU takes to give up. */
  #checkAbort({ id }: Container, { abortedAt }: Handover): void {
    const { longestAbortMs } = this.#assumptions;
    if (longestAbortMs === undefined || abortedAt === undefined) return;
    const passed = this.#simulation.timeline.now - abortedAt;
    if (passed > longestAbortMs)
      throw new ViolationError('LateResume', `${id} is frozen ${passed} ms after Aborted`);
  }

  /** The newest MigrationRequest for this pod: earlier ones have ended. */
  #migrationOf(podUid: string): Handover | undefined {
    let found: Handover | undefined;
    for (const one of this.#handovers.values()) {
      const source = one.request.status?.['source'] as { podUID?: string } | undefined;
      if (one.request.kind === 'MigrationRequest' && source?.podUID === podUid) found = one;
    }
    return found;
  }

  /** The peer sends one operation. The kernel or the application acknowledges it, unless lock or hold prevent that. */
  #exchangeWithPeer(container: Container, key: string): void {
    const { sandbox, memory, state } = container;
    if (!memory || !sandbox.connected) return;
    const seen = this.#acknowledgedOperations.get(key) ?? 0;
    const has = memory.done + sandbox.pending;
    if (state === 'Running' && has < seen && !this.lostApplications.has(sandbox.application)) {
      throw new ViolationError(
        'Lost',
        `${container.id} has ${has} of ${seen} acknowledged operations`,
      );
    }
    const isOpen =
      sandbox.lock === 'none' || (sandbox.lock === 'source' && sandbox.device?.held === false);
    if (state === 'Running') {
      memory.done = has + 1;
      sandbox.pending = 0;
    } else if (isOpen && (state === 'Frozen' || state === 'AtResumeGate')) sandbox.pending++;
    if (isOpen && state !== 'Dead') {
      this.#acknowledgedOperations.set(key, Math.max(seen, memory.done + sandbox.pending));
    }
  }

  /** A container without a peer counts by itself, and never backwards. */
  #countAlone({ id, sandbox, memory, state }: Container, key: string): void {
    if (!memory || state !== 'Running') return;
    const seen = this.#acknowledgedOperations.get(key) ?? 0;
    if (memory.done < seen && !this.lostApplications.has(sandbox.application)) {
      throw new ViolationError('Lost', `${id} has counted to ${memory.done} of ${seen}`);
    }
    memory.done++;
    this.#acknowledgedOperations.set(key, memory.done);
  }
}
