// SPDX-License-Identifier: Apache-2.0
// The loop that runs a reconciler: one run per key at a time, retries with backoff, a deadline for
// every run, metrics.
import { realClock, type Clock } from './clock.ts';
import { codeOf, isConflict, messageOf, retryAfterMs, TerminalError } from './errors.ts';
import type { Logger } from './logger.ts';
import { reconcileErrors, reconcileSeconds, queueLength } from './metrics.ts';
import { WorkQueue, type Backoff } from './work-queue.ts';

export interface Context {
  /** Aborts at the run's deadline and when the process ends. */
  readonly signal: AbortSignal;
  readonly log: Logger;
}

export interface Result {
  /** Run the key again after this time, whatever happens until then. */
  readonly requeueAfterMs?: number | undefined;
}

/** Level-triggered: gets a key, reads the current state, and brings it closer to the desired state. */
export type Reconcile = (key: string, context: Context) => Promise<Result | void>;

export interface ControllerOptions {
  readonly name: string;
  readonly reconcile: Reconcile;
  readonly log: Logger;
  readonly clock?: Clock;
  /** Keys at a time. Default 4. */
  readonly concurrency?: number;
  /** A key that does not wait for the others: beside the workers for all keys there are 64 for such ones. */
  readonly isUrgent?: (key: string) => boolean;
  /** Longest run. Default 60 s. */
  readonly timeoutMs?: number;
  readonly backoff?: Backoff;
}

/** More than a node has pods under way. An idle worker costs nothing. */
const URGENT_CONCURRENCY = 64;

export class Controller {
  readonly queue: WorkQueue;
  readonly #options: ControllerOptions;
  readonly #clock: Clock;
  #runs = 0;

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? realClock;
    this.queue = new WorkQueue(this.#clock, options.backoff);
  }

  /** How many keys run at this moment. */
  get running(): number {
    return this.queue.inWork;
  }

  enqueue(key: string): void {
    this.queue.add(key);
  }

  /** Runs keys until the signal aborts; resolves when the last run has ended. */
  async run(signal: AbortSignal): Promise<void> {
    const close = (): void => this.queue.close();
    signal.addEventListener('abort', close, { once: true });
    if (signal.aborted) close();
    const { concurrency = 4, isUrgent } = this.#options;
    const workers = Array.from({ length: concurrency }, () => this.#work(signal));
    const urgent = isUrgent
      ? Array.from({ length: URGENT_CONCURRENCY }, () => this.#work(signal, isUrgent))
      : [];
    await Promise.all([...urgent, ...workers]);
  }

  async #work(signal: AbortSignal, accepts?: (key: string) => boolean): Promise<void> {
    for (;;) {
      const key = await this.queue.take(accepts);
      if (key === undefined) return;
      try {
        await this.#one(key, signal);
      } finally {
        this.queue.done(key);
      }
    }
  }

  async #one(key: string, parent: AbortSignal): Promise<void> {
    const { name, reconcile, timeoutMs = 60_000 } = this.#options;
    const log = this.#options.log.child({ controller: name, key, run: ++this.#runs });
    const deadline = new AbortController();
    const timer = this.#clock.after(timeoutMs, () => deadline.abort());
    const stop = reconcileSeconds.startTimer({ controller: name });
    queueLength.set({ controller: name }, this.queue.length);
    try {
      const signal = AbortSignal.any([parent, deadline.signal]);
      const result = await reconcile(key, { signal, log });
      this.queue.forget(key);
      if (result?.requeueAfterMs !== undefined) this.queue.addAfter(key, result.requeueAfterMs);
    } catch (error) {
      if (parent.aborted) return;
      if (isConflict(error)) {
        // Another writer was faster: read again. This is no error.
        this.queue.addAfterFailure(key);
        return;
      }
      reconcileErrors.inc({ controller: name, code: codeOf(error) });
      if (error instanceof TerminalError) {
        log.error(
          { code: error.code, detail: error.message },
          'giving up until the object changes',
        );
        this.queue.forget(key);
        return;
      }
      const ms = this.queue.addAfterFailure(key, retryAfterMs(error));
      log.warn(
        { code: codeOf(error), detail: messageOf(error), retryMs: ms, error },
        'reconcile failed',
      );
    } finally {
      timer.cancel();
      stop();
    }
  }
}

/** The four parts of every reconciler. O: the observation; E: an effect; S: the status. */
export interface Parts<O, E extends { readonly type: string }, S> {
  /**
   * Asked first, and makes no request: in how many milliseconds the key has to be observed, if nothing changes until then.
   * undefined: now.
   */
  idleMs?(key: string, now: number): number | undefined;
  /** Reads everything. undefined: there is nothing to do for this key. */
  observe(key: string, context: Context): Promise<O | undefined>;
  /** Pure: the same observation gives the same plan. */
  decide(observed: O, now: number): Plan<E, S>;
  /**
   * Writes this writer's part of the status, if it changed. Rejects with `Conflict` when the object
   * is no longer the version that was observed; the plan is then void.
   */
  publish(status: S, observed: O, context: Context): Promise<void>;
  /** Idempotent: may run again after a crash at any point. */
  act(effect: E, observed: O, context: Context): Promise<void>;
  /** Everything that was planned has been done. */
  done?(observed: O): void;
}

export interface Plan<E, S> {
  /** undefined: do not write the status. */
  readonly status: S | undefined;
  readonly effects: readonly E[];
  /** The next moment at which time alone changes the plan. */
  readonly requeueAfterMs?: number | undefined;
}

/**
 * observe → decide → publish → act. Publishing first makes the status say what is about to happen, and its version
 * conflict stops a reconciler with a stale view before it does anything.
 */
export function reconciler<O, E extends { readonly type: string }, S>(
  parts: Parts<O, E, S>,
  clock: Clock = realClock,
): Reconcile {
  return async (key, context) => {
    const idleMs = parts.idleMs?.(key, clock.now());
    if (idleMs !== undefined) return { requeueAfterMs: idleMs };
    const observed = await parts.observe(key, context);
    if (observed === undefined) return undefined;
    const plan = parts.decide(observed, clock.now());
    if (plan.status !== undefined) await parts.publish(plan.status, observed, context);
    for (const effect of plan.effects) {
      context.log.debug({ effect: effect.type }, 'acting');
      await parts.act(effect, observed, context);
    }
    parts.done?.(observed);
    return { requeueAfterMs: plan.requeueAfterMs };
  };
}
