// SPDX-License-Identifier: Apache-2.0
// A request's conditions while a plan is being made. Pure.
import type { Condition, ConditionStatus } from '../../../crds/src/index.ts';
import { getCondition, setCondition } from '../../../kube/src/index.ts';

export class ConditionProgress<T extends string> {
  #conditions: Condition[];
  readonly #types: readonly T[];
  readonly #now: number;
  readonly #generation: number;

  /** Every type is present from the first visit on. */
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

  /** Once True, a condition that is reached stays True. */
  reached(type: T, reason: string, message = ''): void {
    if (!this.isTrue(type)) this.#set(type, 'True', reason, message);
  }

  /** Still under way: says more about it. */
  waiting(type: T, reason: string, message = ''): void {
    if (getCondition(this.#conditions, type)?.status === 'Unknown') {
      this.#set(type, 'Unknown', reason, message);
    }
  }

  set(type: T, status: ConditionStatus, reason: string, message = ''): void {
    this.#set(type, status, reason, message);
  }

  /**
   * Ends it; the summary says the outcome. What was left open is False after a failure, for the same
   * reason, and True after a success: it has happened, even if nobody was seen saying so.
   */
  finish(summary: T, succeeded: boolean, reason: string, message = ''): void {
    for (const type of this.#types) {
      const open = getCondition(this.#conditions, type)?.status === 'Unknown';
      if (type !== summary && open) this.#set(type, succeeded ? 'True' : 'False', reason);
    }
    this.#set(summary, succeeded ? 'True' : 'False', reason, message);
  }

  #set(type: T, status: ConditionStatus, reason: string, message = ''): void {
    this.#conditions = setCondition(
      this.#conditions,
      { type, status, reason, message },
      this.#now,
      this.#generation,
    );
  }
}
