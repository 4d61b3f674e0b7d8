// SPDX-License-Identifier: Apache-2.0
// The status draft of a request that ends in a decision. Pure.
import { conditionTypes } from '../../../crds/src/index.ts';
import type { Plan } from '../../../kube/src/index.ts';
import type { HandoverEffect, HandoverRequest, HandoverStatus } from './handover-types.ts';
import { makeReport } from './report.ts';
import { StatusDraft, type DraftSource } from './status-draft.ts';

/** Such a request has a report, and a finalizer that goes with its end. */
export class HandoverDraft<
  C extends string,
  S extends HandoverStatus,
  E extends { readonly type: string },
> extends StatusDraft<C, S, E | HandoverEffect> {
  readonly #request: HandoverRequest;

  constructor(request: HandoverRequest & DraftSource<S>, owned: readonly (keyof S)[], now: number) {
    super(request, conditionTypes[request.kind] as readonly string[] as readonly C[], owned, now);
    this.#request = request;
  }

  override plan(
    phase: S['phase'],
    effects: readonly (E | HandoverEffect)[],
    requeueAfterMs?: number,
  ): Plan<E | HandoverEffect, S> {
    const { sourceAgent, targetAgent } = this.#request.status ?? {};
    const { startTime } = this.status;
    this.status.report = makeReport({ startTime, sourceAgent, targetAgent });
    return super.plan(phase, effects, requeueAfterMs);
  }

  override finish(
    succeeded: boolean,
    reason: string,
    message: string,
    before: readonly (E | HandoverEffect)[] = [],
  ): Plan<E | HandoverEffect, S> {
    return super.finish(succeeded, reason, message, [...before, { type: 'RemoveFinalizer' }]);
  }

  protected override finalPhase(succeeded: boolean, reason: string): string {
    return reason === 'Cancelled' ? reason : super.finalPhase(succeeded, reason);
  }
}
