// SPDX-License-Identifier: Apache-2.0
// The states of a target's containers, read together. What the pod does next depends on all of them: docs/adr/0006.
import type { Failure } from '../../support/errors.ts';
import type { Entry } from '../../support/journal/journal.ts';
import type { TargetObserved } from './decide.ts';

/**
 * AtResumeGate: CRIU waits at the gate. Detached: CRIU has detached from the tasks. Failure: CRIU has failed.
 * Pending: none of these, so the restore has not begun or is under way.
 */
export type ContainerState = 'AtResumeGate' | 'Detached' | 'Pending' | Failure;

export interface ContainerWithState {
  name: string;
  state: ContainerState;
}

export class ContainerStates {
  readonly #entry: Entry | undefined;
  readonly #all: readonly ContainerWithState[];

  constructor(entry: Entry | undefined, all: readonly ContainerWithState[]) {
    this.#entry = entry;
    this.#all = all;
  }

  /** Whether the journal knows the pod's containers. */
  get areKnown(): boolean {
    return this.#all.length > 0;
  }

  /** Containers that are neither at the resume gate nor detached. */
  missing(): string[] {
    return this.#namesIn((state) => state !== 'AtResumeGate' && state !== 'Detached');
  }

  /** Containers whose restore has not ended. */
  unfinished(): string[] {
    return this.#namesIn((state) => state === 'AtResumeGate' || state === 'Pending');
  }

  /** How many containers CRIU has detached from. */
  detached(): TargetObserved['detached'] {
    const count = this.#namesIn((state) => state === 'Detached').length;
    if (count === 0) return 'none';
    return count < this.#all.length ? 'some' : 'all';
  }

  /** The first container's failure: one failed container fails the pod. */
  failure(): Failure | undefined {
    for (const { name, state } of this.#all) {
      if (typeof state === 'string') continue;
      const prefix = this.#all.length > 1 ? `Container ${name}: ` : '';
      return { ...state, message: prefix + state.message };
    }
    return undefined;
  }

  /**
   * Whether a failed container cannot be restored again. The create of every container but the last has returned, and
   * the kubelet does not create those twice.
   */
  isUnrestorable(): boolean {
    if (this.#entry?.stage !== 'Resuming') return false;
    const failed = new Set(this.#namesIn((state) => typeof state === 'object'));
    const created = this.#entry.containers.slice(0, -1);
    return created.some(({ name, since }) => since === undefined && failed.has(name));
  }

  #namesIn(matches: (state: ContainerState) => boolean): string[] {
    return this.#all.filter(({ state }) => matches(state)).map(({ name }) => name);
  }
}
