// SPDX-License-Identifier: Apache-2.0
// What must hold after every step, as in spec/handover.pml; and the peers, who take down whatever is acknowledged.
import { isDeepStrictEqual } from 'node:util';
import { annotations, type Decision } from '../../crds/src/index.ts';
import { answersFrom, look, type Answers } from './answering.ts';
import { decisionOf } from './api/rules.ts';
import type { Stored } from './api/objects.ts';
import { speaker, type Container, type Machine, type Sandbox } from './node/machine.ts';
import type { Simulation } from './world.ts';

export class ViolationError extends Error {
  override readonly name = 'ViolationError';
  readonly code: string;
  constructor(code: string, message: string) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

/** A proposal may arrive that much after it was made. */
const roundTripMs = 200;
/** Within it a write to a journal has come about, and long before it a container is restored once more. */
const writeMs = 20;

interface Handover {
  readonly request: Stored;
  /** Frozen on behalf of this request. */
  frozen: boolean;
  decision: Decision | undefined;
  /** Once it is committed. */
  answers: Answers | undefined;
}

/** What a schedule leaves to be relied on. */
interface Reliance {
  /** Nothing is committed after the patience of the peers is over. */
  readonly isInTime: boolean;
  /** No clock jumps. */
  readonly isSteady: boolean;
}

export class Monitor {
  readonly #world: Simulation;
  readonly #handovers = new Map<string, Handover>();
  /** The last operation that a peer has seen acknowledged, by application and container. */
  readonly #acknowledged = new Map<string, number>();
  /** Applications whose only copy a fault has destroyed: nobody can give back what it had done. */
  readonly lost = new Set<string>();
  /** Requests of targets, by the pod's uid. */
  readonly #madeBy = new Map<string, string>();
  readonly #frozen = new Map<string, Container>();
  /** Since when the peers of a move's source are put off. */
  readonly #heldSince = new Map<string, number>();
  readonly #reliance: Reliance;

  constructor(world: Simulation, reliance: Reliance) {
    this.#world = world;
    this.#reliance = reliance;
    for (const machine of world.machines.values()) {
      machine.onRemove = (container) => this.#removed(machine, container);
    }
    world.store.onChange(({ before, after }) => {
      if (after?.kind === 'MigrationRequest' || after?.kind === 'RestoreRequest') {
        this.#note(after, before);
      } else if (after?.kind === 'Pod' && !before) {
        const { uid, annotations: notes } = after.metadata;
        const made = notes?.[annotations.requestUid];
        if (made !== undefined) this.#madeBy.set(uid, made);
      }
    });
  }

  /** @throws ViolationError */
  check(): void {
    // A pod's containers are one application each: none of them runs twice.
    const running = new Map<string, Container>();
    for (const machine of this.#world.machines.values()) {
      for (const sandbox of machine.sandboxes.values()) {
        this.#checkTarget(machine, sandbox);
        if (sandbox.spoilt)
          throw new ViolationError('Spoilt', `files of ${sandbox.id} were replaced`);
      }
      for (const container of machine.containers.values()) {
        const of = `${container.sandbox.lineage}/${container.name}`;
        if (container.state === 'Running') {
          const other = running.get(of);
          if (other) {
            throw new ViolationError('TwoRunners', `${other.id} and ${container.id}`);
          }
          running.set(of, container);
        }
        this.#checkSource(container);
        if (container.name === speaker) this.#answer(container, of);
        else this.#count(container, of);
      }
    }
    if (this.#reliance.isSteady) this.#checkAnswers();
  }

  /** Peers of a committed move find somebody, and never two that go on. */
  #checkAnswers(): void {
    for (const { request, answers } of this.#handovers.values()) {
      if (!answers || request.kind !== 'MigrationRequest') continue;
      const place = request.status?.['source'] as { podUID?: string } | undefined;
      const [source] = this.#sandboxes(({ podUid }) => podUid === place?.podUID);
      const [target] = this.#sandboxes(
        ({ podUid }) => this.#madeBy.get(podUid) === request.metadata.uid,
      );
      const sides = {
        ...{ source: source?.sandbox, target: target?.sandbox },
        targetRuns: target?.states.includes('Running') ?? false,
      };
      const found = look(answers, sides, this.#world.timeline.now);
      if (found) throw new ViolationError(...found);
    }
  }

  #sandboxes(is: (sandbox: Sandbox) => boolean): { sandbox: Sandbox; states: string[] }[] {
    return [...this.#world.machines.values()].flatMap((machine) =>
      [...machine.sandboxes.values()].filter(is).map((sandbox) => ({
        sandbox,
        states: machine.containersOf(sandbox.podUid).map(({ state }) => state),
      })),
    );
  }

  /** A node loses its power, and what ran there its memory. */
  destroyed(machine: Machine): void {
    for (const container of machine.containers.values()) {
      const { state, sandbox, podUid } = container;
      const isOver = this.#moveOf(podUid)?.decision?.outcome === 'Committed';
      if (state === 'Running' || (state === 'Frozen' && !isOver)) this.lost.add(sandbox.lineage);
      this.#removed(machine, container);
    }
  }

  /**
   * A target that is killed when CRIU has let go of it may have been heard: its images are old, and it is lost. So the
   * journal's `opening` counts, also where the write was under way, and nothing before it does. What is still at its gate
   * is restored once more, whatever the journal says.
   */
  #removed({ journal }: Machine, { state, sandbox, started }: Container): void {
    // Let go, but the kubelet gave up its start in that very moment: after a pause of 20 s or more in between.
    if (state !== 'Running' || started) return;
    const uid = this.#requestOf(sandbox)?.request.metadata.uid;
    const look = (): void => {
      const entry = journal.get(`${uid}.target.json`) ?? '';
      if (/"stage":"(Resuming|Running)"/.test(entry)) this.lost.add(sandbox.lineage);
    };
    look();
    this.#world.timeline.after(writeMs, look);
  }

  /** A decision is the only thing that may be missing and then be there. */
  #note(after: Stored, before: Stored | undefined): void {
    const { uid } = after.metadata;
    const known = this.#handovers.get(uid) ?? {
      request: after,
      frozen: false,
      decision: undefined,
      answers: undefined,
    };
    const decision = decisionOf(after);
    if (known.decision && !isDeepStrictEqual(known.decision, decision)) {
      throw new ViolationError('Reversed', `${known.decision.outcome} became ${decision?.outcome}`);
    }
    if (decisionOf(before) && !decision) throw new ViolationError('Reversed', 'a decision is gone');
    if (!known.decision && decision?.outcome === 'Committed') this.#checkPatience(after);
    const isCommitted = decision?.outcome === 'Committed';
    const answers =
      known.answers ?? (isCommitted ? answersFrom(this.#world.timeline.now) : undefined);
    this.#handovers.set(uid, { ...known, request: after, decision, answers });
  }

  /** The target's own check and the source's veto: one of them holds whichever single fault strikes. */
  #checkPatience({ status }: Stored): void {
    const { source, sourceAgent } = (status ?? {}) as {
      source?: { podUID?: string };
      sourceAgent?: { peerBudgetMs?: number };
    };
    const since = this.#heldSince.get(source?.podUID ?? '');
    const budget = sourceAgent?.peerBudgetMs;
    if (!this.#reliance.isInTime || since === undefined || budget === undefined) return;
    const held = this.#world.timeline.now - since;
    if (held <= budget + roundTripMs) return;
    throw new ViolationError('LateCommit', `committed after ${held} ms, of ${budget} ms`);
  }

  /** Nothing of a target runs, answers or announces itself before Committed. */
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

  /** The request that a sandbox's pod is the target of. */
  #requestOf(sandbox: Sandbox): Handover | undefined {
    const made = this.#madeBy.get(sandbox.podUid);
    return made === undefined ? undefined : this.#handovers.get(made);
  }

  /** What was frozen for a move thaws on Aborted only. */
  #checkSource(container: Container): void {
    const move = this.#moveOf(container.podUid);
    if (!move) return;
    if (container.state === 'Frozen') this.#frozen.set(container.id, container);
    const { podUid, sandbox } = container;
    if (sandbox.device?.held === true && !this.#heldSince.has(podUid))
      this.#heldSince.set(podUid, this.#world.timeline.now);
    if (container.state !== 'Running' || !this.#frozen.has(container.id)) return;
    if (move.decision?.outcome !== 'Aborted') {
      throw new ViolationError(
        'EarlyThaw',
        `${container.id} runs while ${move.decision?.outcome ?? 'nothing'} is recorded`,
      );
    }
    this.#frozen.delete(container.id);
  }

  #moveOf(podUid: string): Handover | undefined {
    // Of several the newest: an earlier one has ended.
    let found: Handover | undefined;
    for (const one of this.#handovers.values()) {
      const source = one.request.status?.['source'] as { podUID?: string } | undefined;
      if (one.request.kind === 'MigrationRequest' && source?.podUID === podUid) found = one;
    }
    return found;
  }

  /** A peer speaks to whoever can hear it, in the kernel or in the application. */
  #answer(container: Container, of: string): void {
    const { sandbox, memory, state } = container;
    if (!memory || !sandbox.connected) return;
    const seen = this.#acknowledged.get(of) ?? 0;
    const has = memory.done + sandbox.pending;
    if (state === 'Running' && has < seen && !this.lost.has(sandbox.lineage)) {
      throw new ViolationError('Lost', `${container.id} knows ${has} of ${seen} operations`);
    }
    const isOpen =
      sandbox.lock === 'none' || (sandbox.lock === 'source' && sandbox.device?.held === false);
    if (state === 'Running') {
      memory.done = has + 1;
      sandbox.pending = 0;
    } else if (isOpen && (state === 'Frozen' || state === 'AtResumeGate')) sandbox.pending++;
    if (isOpen && state !== 'Dead') {
      this.#acknowledged.set(of, Math.max(seen, memory.done + sandbox.pending));
    }
  }

  /** A container that nobody speaks to counts by itself, and never backwards. */
  #count({ id, sandbox, memory, state }: Container, of: string): void {
    if (!memory || state !== 'Running') return;
    const seen = this.#acknowledged.get(of) ?? 0;
    if (memory.done < seen && !this.lost.has(sandbox.lineage)) {
      throw new ViolationError('Lost', `${id} has counted to ${memory.done} of ${seen}`);
    }
    memory.done++;
    this.#acknowledged.set(of, memory.done);
  }
}
