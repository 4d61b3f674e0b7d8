// SPDX-License-Identifier: Apache-2.0
// Where each container of a target is, all of them looked at once. What the pod does next depends on all: docs/adr/0006.
import type { Entry } from '../../support/journal/journal.ts';
import type { Failure } from '../../support/errors.ts';
import type { TargetObserved } from './decide.ts';

/** At CRIU's resume gate; beyond it; given up by CRIU; or none of these: not begun, or in CRIU's hands. */
export type ContainerState = 'AtResumeGate' | 'Detached' | 'Pending' | Failure;

export interface ContainerWithState {
  name: string;
  place: ContainerState;
}

export class ContainerStates {
  readonly #entry: Entry | undefined;
  readonly #all: readonly ContainerWithState[];

  constructor(entry: Entry | undefined, all: readonly ContainerWithState[]) {
    this.#entry = entry;
    this.#all = all;
  }

  /** Whether the pod's containers are known at all. */
  get areKnown(): boolean {
    return this.#all.length > 0;
  }

  /** Containers that are neither at the resume gate nor, where the gates are being opened, beyond it. */
  missing(): string[] {
    return this.#in((place) => place !== 'AtResumeGate' && place !== 'Detached');
  }

  /** Containers whose restore has not come to its end. */
  going(): string[] {
    return this.#in((place) => place === 'AtResumeGate' || place === 'Pending');
  }

  /** How many containers are beyond the resume gate. */
  detached(): TargetObserved['detached'] {
    const beyond = this.#in((place) => place === 'Detached').length;
    if (beyond === 0) return 'none';
    return beyond < this.#all.length ? 'some' : 'all';
  }

  /** The first failure that is found: what becomes of one container becomes of the pod. */
  failure(): Failure | undefined {
    for (const { name, place } of this.#all) {
      if (typeof place === 'string') continue;
      const which = this.#all.length > 1 ? `container ${name}: ` : '';
      return { ...place, message: which + place.message };
    }
    return undefined;
  }

  /**
   * Whether one that CRIU has not let go of will not be restored again: the create of all but the last one has returned,
   * and their kubelet does not start them twice.
   */
  isUnrestorable(): boolean {
    if (this.#entry?.stage !== 'Resuming') return false;
    const failed = new Set(this.#in((place) => typeof place === 'object'));
    const created = this.#entry.containers.slice(0, -1);
    return created.some(({ name, since }) => since === undefined && failed.has(name));
  }

  #in(is: (place: ContainerState) => boolean): string[] {
    return this.#all.filter(({ place }) => is(place)).map(({ name }) => name);
  }
}
