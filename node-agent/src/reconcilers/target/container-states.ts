// SPDX-License-Identifier: Apache-2.0
// The states of a target's containers, read together. What the pod does next depends on all of them: docs/adr/0006.
import type { Failure } from '../../support/errors.ts';
import type { TargetObserved } from './decide.ts';

/**
 * AtResumeGate: the container is started and frozen. Thawed: its tasks may run. Failure: CRIU has failed, or the container
 * was killed. Pending: none of these, so the restore has not begun or is under way.
 */
export type ContainerState = 'AtResumeGate' | 'Thawed' | 'Pending' | Failure;

export interface ContainerWithState {
  name: string;
  state: ContainerState;
}

export class ContainerStates {
  readonly #all: readonly ContainerWithState[];

  constructor(all: readonly ContainerWithState[]) {
    this.#all = all;
  }

  /** Containers that are neither frozen nor thawed. */
  missing(): string[] {
    return this.#namesIn((state) => state !== 'AtResumeGate' && state !== 'Thawed');
  }

  /** How many containers are frozen or thawed. */
  atResumeGate(): TargetObserved['atResumeGate'] {
    const missing = this.missing().length;
    if (missing === this.#all.length) return 'none';
    return missing === 0 ? 'all' : 'some';
  }

  /** A container that something else than the agent has thawed: before the decision nothing may run. */
  thawed(): Failure | undefined {
    const [name] = this.#namesIn((state) => state === 'Thawed');
    if (name === undefined) return undefined;
    return {
      code: 'RestoreFailed',
      message: `Container ${name} was thawed on the target node before the decision, and not by Sealift.`,
    };
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

  #namesIn(matches: (state: ContainerState) => boolean): string[] {
    return this.#all.filter(({ state }) => matches(state)).map(({ name }) => name);
  }
}
