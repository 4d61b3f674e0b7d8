// SPDX-License-Identifier: Apache-2.0
// The operator's part of a request's status while a plan is being made. Pure.
import type { Condition, FinishedSeen } from '../../../crds/src/index.ts';
import { timestamp, type Plan } from '../../../kube/src/index.ts';
import { ConditionProgress } from './condition-progress.ts';
import type { Refusal } from '../refusal.ts';

/** Fields that the operator owns in the status of every kind. */
export interface DraftStatus {
  observedGeneration?: number | undefined;
  phase?: string | undefined;
  startTime?: string | undefined;
  completionTime?: string | undefined;
  finishedSeen?: FinishedSeen[] | undefined;
  conditions?: Condition[] | undefined;
}

export interface DraftSource<S> {
  readonly metadata: { readonly generation: number };
  readonly status?: S | undefined;
}

/** C: condition types; S: the operator's part of the status; E: effects. */
export class StatusDraft<C extends string, S extends DraftStatus, E> {
  readonly now: number;
  readonly progress: ConditionProgress<C>;
  /** Published as it is when the plan is made. */
  status: S;

  /** @param owned the fields of the status that the operator owns */
  constructor(
    { status, metadata }: DraftSource<S>,
    types: readonly C[],
    owned: readonly (keyof S)[],
    now: number,
  ) {
    this.now = now;
    this.progress = new ConditionProgress(types, status?.conditions, now, metadata.generation);
    this.status = {
      ...pick(status, owned),
      observedGeneration: metadata.generation,
      startTime: status?.startTime ?? timestamp(now),
    };
  }

  plan(phase: S['phase'], effects: readonly E[], requeueAfterMs?: number): Plan<E, S> {
    const { conditions } = this.progress;
    return { status: { ...this.status, phase, conditions }, effects, requeueAfterMs };
  }

  /** Ends the request. */
  finish(
    succeeded: boolean,
    reason: string,
    message: string,
    effects: readonly E[] = [],
  ): Plan<E, S> {
    this.progress.finish('Succeeded' as C, succeeded, reason, message);
    this.status.completionTime = timestamp(this.now);
    return this.plan(this.finalPhase(succeeded, reason), effects);
  }

  /** Ends a request that was not accepted. */
  refuse({ reason, message }: Refusal): Plan<E, S> {
    this.progress.set('Validated' as C, 'False', reason, message);
    return this.finish(false, reason, message);
  }

  protected finalPhase(succeeded: boolean, _reason: string): string {
    return succeeded ? 'Succeeded' : 'Failed';
  }
}

/** Only what is there: a status is compared and published without undefined fields. */
export function pick<S>(status: S | undefined, keys: readonly (keyof S)[]): S {
  const entries = keys.map((key) => [key, status?.[key]] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as S;
}
