// SPDX-License-Identifier: Apache-2.0
// Reads the state of each of a target's containers from the gates, the journal and the reports of CRIU's plugin.
import type { TargetContainer, TargetState } from '../../../../crds/src/index.ts';
import type { Gates } from '../../callers/gates.ts';
import type { Restorer } from '../../node/restore/restorer.ts';
import { isRestoring, type Entry, type Stage } from '../../support/journal/journal.ts';
import {
  ContainerStates,
  type ContainerState,
  type ContainerWithState,
} from './container-states.ts';
import type { TargetObserved } from './decide.ts';
import { isOtherAttempt } from './journal-entry.ts';

/** After this long a create is too close to the kubelet's timeout to let the container run. */
const CREATE_BUDGET_MS = 100_000;
/** Stages in which CRIU may be at work. */
const restoreStages: ReadonlySet<Stage> = new Set(['Restoring', 'AtResumeGate', 'Resuming']);
/** States of the pod that are also the state of each of its containers. */
const podStates: ReadonlySet<TargetState> = new Set(['Running', 'TornDown', 'Failed']);

export class TargetContainers {
  readonly #gates: Gates;
  readonly #restorer: Restorer;

  constructor(deps: { gates: Gates; restorer: Restorer }) {
    this.#gates = deps.gates;
    this.#restorer = deps.restorer;
  }

  /** Whether a container waits at the create gate. */
  atCreateGate(uid: string, entry: Entry | undefined): TargetObserved['create'] {
    const waiting = this.#gates.listAtCreateGate(uid);
    if (waiting.some((create) => isOtherAttempt(entry, create))) return 'retried';
    return waiting.length > 0 ? 'waiting' : 'none';
  }

  /** How many containers wait at the resume gate. */
  atResumeGate(uid: string, states: ContainerStates): TargetObserved['atResumeGate'] {
    if (this.#gates.listAtResumeGate(uid).length === 0) return 'none';
    return states.areKnown && states.missing().length === 0 ? 'all' : 'some';
  }

  /** Reads the containers' states, each report once. */
  async read(entry: Entry | undefined): Promise<ContainerStates> {
    if (!entry) return new ContainerStates(undefined, []);
    const all: ContainerWithState[] = [];
    for (const container of entry.containers) {
      all.push({ name: container.name, state: await this.#stateOf(entry, container) });
    }
    return new ContainerStates(entry, all);
  }

  async #stateOf(
    entry: Entry,
    { name, id, bundle }: Entry['containers'][number],
  ): Promise<ContainerState> {
    if (this.#gates.getAtResumeGate(entry.id, name)) return 'AtResumeGate';
    if (!restoreStages.has(entry.stage)) return 'Pending';
    if (id === undefined || bundle === undefined) return 'Pending';
    const of = { requestUid: entry.id, container: name, id, bundle };
    const outcome = await this.#restorer.outcome(of);
    return outcome === 'Restoring' || outcome === 'Opened' ? 'Pending' : outcome;
  }

  /**
   * The container whose create the kubelet may soon give up: after two minutes by default, some of which have passed
   * before the create gate. Only the last container can be late, because the other creates have returned; and only while
   * it waits at its gate, because after CRIU has detached from it its own create has returned too.
   */
  lateContainer(entry: Entry, now: number): string | undefined {
    const last = entry.containers.at(-1);
    if (last?.since === undefined) return undefined;
    if (!this.#gates.getAtResumeGate(entry.id, last.name)) return undefined;
    return now - last.since > CREATE_BUDGET_MS ? last.name : undefined;
  }

  /** Containers that CRIU restores and that are not at the resume gate, hanging ones included. */
  restoring(entry: Entry): Entry['containers'] {
    if (!isRestoring(entry)) return [];
    return entry.containers.filter(({ name }) => !this.#gates.getAtResumeGate(entry.id, name));
  }

  /** Whether every restore has ended: CRIU has detached or failed, or the kubelet has created the container again. */
  haveRestoresEnded(entry: Entry, states: ContainerStates): boolean {
    const retried = this.#gates
      .listAtCreateGate(entry.id)
      .filter((create) => isOtherAttempt(entry, create))
      .map((create) => create.container);
    return states.unfinished().every((name) => retried.includes(name));
  }

  /** The containers' states for the status. Once the gates open, each container has the pod's state. */
  statuses(uid: string, entry: Entry | undefined, pod: TargetState): TargetContainer[] {
    const waiting = this.#gates.listAtCreateGate(uid);
    const recorded = entry?.containers ?? [];
    const names = recorded.length > 0 ? recorded.map(({ name }) => name) : waiting[0]?.containers;
    return (names ?? []).map((name) => {
      if (podStates.has(pod)) return { name, state: pod };
      if (this.#gates.getAtResumeGate(uid, name)) return { name, state: 'AtResumeGate' };
      const isBegun = recorded.some((one) => one.name === name && one.id !== undefined);
      if (waiting.some((create) => create.container === name) && !isBegun) {
        return { name, state: pod === 'Receiving' ? pod : 'AtCreateGate' };
      }
      return { name, state: isBegun ? 'Restoring' : 'Preparing' };
    });
  }
}
