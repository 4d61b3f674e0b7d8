// SPDX-License-Identifier: Apache-2.0
// A request's conditions while a plan is being made. Pure.
import type { Condition, ConditionStatus } from '../../../crds/src/index.ts';
import { getCondition, setCondition } from '../../../kube/src/index.ts';
import { sentences } from './message.ts';

/** `Failed` says the opposite of the summary, in the same words. */
const opposite: Record<ConditionStatus, ConditionStatus> = {
  True: 'False',
  False: 'True',
  Unknown: 'Unknown',
};

export class ConditionProgress<T extends string> {
  #conditions: Condition[];
  readonly #types: readonly string[];
  readonly #now: number;
  readonly #generation: number;

  /** Adds the conditions that the request does not have yet, so that all are there from the first visit on. */
  constructor(
    types: readonly T[],
    current: readonly Condition[] | undefined,
    now: number,
    generation: number,
  ) {
    this.#types = types;
    this.#now = now;
    this.#generation = generation;
    this.#conditions = [...(current ?? [])];
    for (const type of types) {
      if (!getCondition(this.#conditions, type)) {
        const reason = type === types[0] || type === types.at(-1) ? 'Pending' : 'Waiting';
        this.#set(type, 'Unknown', reason);
      }
    }
  }

  get conditions(): Condition[] {
    return this.#conditions;
  }

  isTrue(type: T): boolean {
    return getCondition(this.#conditions, type)?.status === 'True';
  }

  /** Sets it to True. From then on it stays so. */
  reached(type: T, reason: string, message = ''): void {
    if (!this.isTrue(type)) this.#set(type, 'True', reason, message);
  }

  /** Says more about a condition that is still Unknown. */
  waiting(type: T, reason: string, message = ''): void {
    if (getCondition(this.#conditions, type)?.status === 'Unknown') {
      this.#set(type, 'Unknown', reason, message);
    }
  }

  /** The request is accepted: the first condition is reached, and the last one waits. */
  accepted(message: string): void {
    const [first, summary] = [this.#types[0], this.#types.at(-1)] as [T, T];
    this.reached(first, 'Accepted', message);
    this.waiting(summary, 'Accepted', 'The request is accepted and under way.');
  }

  set(type: T, status: ConditionStatus, reason: string, message = ''): void {
    this.#set(type, status, reason, message);
  }

  /**
   * Ends the request; the summary says the outcome. Conditions that are still Unknown become False after a failure,
   * for the same reason. After a success they become True: what they stand for has happened, reported or not.
   */
  finish(summary: T, succeeded: boolean, reason: string, message = ''): void {
    for (const type of this.#types) {
      const isOpen = getCondition(this.#conditions, type)?.status === 'Unknown';
      if (isOpen && type !== summary && type !== 'Failed') {
        this.#set(type, succeeded ? 'True' : 'False', reason);
      }
    }
    this.#set(summary, succeeded ? 'True' : 'False', reason, message);
  }

  #set(type: string, status: ConditionStatus, reason: string, message = ''): void {
    if (type === 'Succeeded' && this.#types.includes('Failed')) {
      this.#set('Failed', opposite[status], reason, message);
    }
    this.#conditions = setCondition(
      this.#conditions,
      { type, status, reason, message: sentences([message]) },
      this.#now,
      this.#generation,
    );
  }
}
