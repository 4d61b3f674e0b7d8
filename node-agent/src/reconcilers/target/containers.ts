// SPDX-License-Identifier: Apache-2.0
// Reads the state of each of a target's containers: the journal, the report of CRIU's plugin, the container's cgroup.
import type { TargetContainer, TargetState } from '../../../../crds/src/index.ts';
import type { Gates } from '../../callers/gates.ts';
import type { Restorer } from '../../node/restore/restorer.ts';
import type { Entry, Stage } from '../../support/journal/journal.ts';
import {
  ContainerStates,
  type ContainerState,
  type ContainerWithState,
} from './container-states.ts';
import type { TargetObserved } from './decide.ts';
import { isRecreated } from './journal-entry.ts';

/** Stages of a restore that has begun and of a pod that is not resumed. */
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
    if (waiting.some((create) => isRecreated(entry, create))) return 'retried';
    return waiting.length > 0 ? 'waiting' : 'none';
  }

  async read(entry: Entry | undefined): Promise<ContainerStates> {
    if (!entry) return new ContainerStates([]);
    const all: ContainerWithState[] = [];
    for (const container of entry.containers) {
      all.push({ name: container.name, state: await this.#stateOf(entry, container) });
    }
    return new ContainerStates(all);
  }

  async #stateOf(
    entry: Entry,
    { name, id, bundle }: Entry['containers'][number],
  ): Promise<ContainerState> {
    if (!restoreStages.has(entry.stage)) return 'Pending';
    if (id === undefined || bundle === undefined) return 'Pending';
    const of = { requestUid: entry.id, container: name, id, bundle };
    const outcome = await this.#restorer.outcome(of);
    if (outcome === 'Restoring') return 'Pending';
    return outcome === 'Frozen' ? 'AtResumeGate' : outcome;
  }

  /** Whether a container has passed its resume gate: its create returns at any moment. */
  isPassing(uid: string): boolean {
    return this.#gates.listPassed(uid).length > 0;
  }

  /** The containers' states for the status. Once the pod is resumed, each container has the pod's state. */
  statuses(uid: string, entry: Entry | undefined, pod: TargetState): TargetContainer[] {
    const waiting = this.#gates.listAtCreateGate(uid);
    const passed = this.#gates.listPassed(uid).map(({ container }) => container);
    const recorded = entry?.containers ?? [];
    const names = recorded.length > 0 ? recorded.map(({ name }) => name) : waiting[0]?.containers;
    return (names ?? []).map((name) => {
      if (podStates.has(pod)) return { name, state: pod };
      if (passed.includes(name)) return { name, state: 'AtResumeGate' };
      const isBegun = recorded.some((one) => one.name === name && one.id !== undefined);
      if (waiting.some((create) => create.container === name) && !isBegun) {
        return { name, state: pod === 'Receiving' ? pod : 'AtCreateGate' };
      }
      return { name, state: isBegun ? 'Restoring' : 'Preparing' };
    });
  }
}
