// SPDX-License-Identifier: Apache-2.0
// One run of a handover's reconciler: observe, decide, act, publish. Unlike the general reconciler it tells of a
// step only when the step has been done, because the other side acts on it.
import {
  realClock,
  type Clock,
  type Context,
  type Plan,
  type Reconcile,
} from '../../../kube/src/index.ts';
import { reasonOf } from '../support/errors.ts';
import { failures } from '../support/metrics.ts';

export interface HandoverReconciler<O, E extends { readonly type: string }, S> {
  /** undefined: nothing to do for this key. */
  observe(key: string, context: Context): Promise<O | undefined>;
  decide(observed: O, now: number): Plan<E, S>;
  act(effect: E, observed: O, context: Context): Promise<void>;
  /** An effect failed: write down what must not be forgotten. The key comes again at once. */
  failed(error: unknown, effect: E, observed: O): Promise<void>;
  publish(status: S, observed: O, context: Context): Promise<void>;
  /** The request is deleted: drops what this process remembers of it. */
  forget(uid: string): void;
}

export function handoverLoop<O, E extends { readonly type: string }, S>(
  reconciler: HandoverReconciler<O, E, S>,
  clock: Clock = realClock,
): Reconcile {
  return async (key, context) => {
    const observed = await reconciler.observe(key, context);
    if (observed === undefined) return undefined;
    const plan = reconciler.decide(observed, clock.now());
    for (const effect of plan.effects) {
      context.log.info({ effect: effect.type }, 'acting');
      try {
        await reconciler.act(effect, observed, context);
      } catch (error) {
        failures.inc({ effect: effect.type, code: reasonOf(error).code });
        await reconciler.failed(error, effect, observed);
        throw error;
      }
    }
    if (plan.status !== undefined) await reconciler.publish(plan.status, observed, context);
    return { requeueAfterMs: plan.requeueAfterMs };
  };
}
