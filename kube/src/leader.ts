// SPDX-License-Identifier: Apache-2.0
// Leader election by a Lease. A process that loses the Lease must stop at once: the caller ends the process. Times that matter
// are measured by timers, which go on when the machine's clock is set.
import type { Api } from './api.ts';
import { realClock, type Clock, type Timer } from './clock.ts';
import { codeOf, isAlreadyExists, isConflict, messageOf } from './errors.ts';
import { unlessNotFound } from './reads.ts';
import { leases, microTime, type Lease } from './lease.ts';
import type { Logger } from './logger.ts';
import { isLeader } from './metrics.ts';

export interface LeaderOptions {
  readonly api: Api;
  readonly log: Logger;
  readonly namespace: string;
  readonly name: string;
  readonly identity: string;
  readonly clock?: Clock;
  /** How long others wait after the last renewal. Default 30 s: an unnecessary change of leader costs more than a late one. */
  readonly leaseMs?: number;
  /** The leader gives up when it could not renew for this long, whatever it waits for. Default 20 s. */
  readonly renewMs?: number;
  /** Time between attempts. Default 3 s. */
  readonly retryMs?: number;
}

export class LeaderElector {
  readonly #options: LeaderOptions;
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #renewMs: number;
  readonly #retryMs: number;
  /** The last version of the Lease that we saw, and whether its time is over since: times in it are of another clock. */
  #seen: { version: string; isOver: boolean; timer: Timer } | undefined;
  /** Whether somebody else had the Lease when it was last read. */
  #isOthers = false;
  /** When the API server last answered about the Lease. */
  #answeredAt: number | undefined;

  constructor(options: LeaderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? realClock;
    this.#leaseMs = options.leaseMs ?? 30_000;
    this.#renewMs = options.renewMs ?? 20_000;
    this.#retryMs = options.retryMs ?? 3_000;
  }

  /**
   * Waits for the lease, runs `lead`, renews meanwhile.
   * @param lead gets a signal that aborts when the lease is lost or the parent aborts.
   * @returns `stopped` when the parent aborted (the lease is given back), else `lost`.
   */
  async run(
    lead: (signal: AbortSignal) => Promise<void>,
    parent: AbortSignal,
  ): Promise<'stopped' | 'lost'> {
    const { log, identity } = this.#options;
    while (!parent.aborted && !(await this.#tryInTime(parent))) {
      await this.#clock.sleep(this.#retryMs, parent);
    }
    this.#seen?.timer.cancel();
    if (parent.aborted) return 'stopped';
    log.info({ identity }, 'leading');
    isLeader.set(1);
    const lost = new AbortController();
    const leading = lead(AbortSignal.any([parent, lost.signal]));
    await this.#renew(parent);
    isLeader.set(0);
    if (parent.aborted) {
      await leading;
      await this.#release();
      return 'stopped';
    }
    log.error({ identity }, 'lost the lease');
    lost.abort();
    await leading;
    return 'lost';
  }

  /** For /readyz: why this process could not lead. Also said of one that waits for its turn. */
  unreachable(): string | undefined {
    if (this.#answeredAt === undefined) return 'The API server has not answered yet.';
    const silentMs = this.#clock.now() - this.#answeredAt;
    if (silentMs <= this.#renewMs) return undefined;
    return `The API server has not answered for ${Math.round(silentMs / 1000)} s.`;
  }

  /** Resolves when the parent aborts or the lease could not be renewed in time. */
  async #renew(parent: AbortSignal): Promise<void> {
    const over = new AbortController();
    const signal = AbortSignal.any([parent, over.signal]);
    const fromNow = (): Timer => this.#clock.after(this.#renewMs, () => over.abort());
    let deadline = fromNow();
    while (!signal.aborted) {
      await this.#clock.sleep(this.#retryMs, signal);
      if (signal.aborted) break;
      const next = fromNow();
      const isRenewed = await this.#tryInTime(parent, over.signal);
      // The machine was suspended for longer than the Lease lasts: no timer has counted that.
      if (this.#isOthers) {
        next.cancel();
        break;
      }
      (isRenewed ? deadline : next).cancel();
      if (isRenewed) deadline = next;
    }
    deadline.cancel();
  }

  /**
   * @param over when nobody waits for the answer any more
   * @returns true if we have the Lease now; false also if a call does not end when it is aborted
   */
  async #tryInTime(parent: AbortSignal, over?: AbortSignal): Promise<boolean> {
    const late = new AbortController();
    const passed = Promise.withResolvers<boolean>();
    const giveUp = (): void => {
      late.abort();
      passed.resolve(false);
    };
    const timer = this.#clock.after(this.#renewMs / 2, giveUp);
    over?.addEventListener('abort', giveUp, { once: true });
    try {
      const tried = this.#try(parent, AbortSignal.any([parent, late.signal]));
      return await Promise.race([tried, passed.promise]);
    } finally {
      timer.cancel();
      over?.removeEventListener('abort', giveUp);
    }
  }

  /** @returns true if we have the Lease now. Never rejects. */
  async #try(signal: AbortSignal, limit: AbortSignal): Promise<boolean> {
    const { api, namespace, name, identity, log } = this.#options;
    try {
      const lease = await this.#read(limit);
      this.#answeredAt = this.#clock.now();
      if (!lease) {
        await api.create(
          leases,
          namespace,
          { metadata: { name }, spec: this.#spec(0, true) },
          { signal: limit },
        );
        return true;
      }
      const { holderIdentity, leaseTransitions } = lease.spec;
      const ours = holderIdentity === identity;
      this.#isOthers = !ours && Boolean(holderIdentity) && !this.#expired(lease);
      if (this.#isOthers) return false;
      await api.merge(
        leases,
        namespace,
        name,
        {
          metadata: { resourceVersion: lease.metadata.resourceVersion },
          spec: this.#spec((leaseTransitions ?? 0) + (ours ? 0 : 1), !ours),
        },
        { signal: limit },
      );
      return true;
    } catch (error) {
      if (!signal.aborted && !isConflict(error) && !isAlreadyExists(error)) {
        log.warn({ code: codeOf(error), detail: messageOf(error) }, 'lease not renewed');
      }
      return false;
    }
  }

  async #read(signal: AbortSignal): Promise<Lease | undefined> {
    const { api, namespace, name } = this.#options;
    return unlessNotFound(api.get(leases, namespace, name, { signal }));
  }

  #expired(lease: Lease): boolean {
    const version = lease.metadata.resourceVersion;
    if (this.#seen?.version === version) return this.#seen.isOver;
    this.#seen?.timer.cancel();
    const ms = (lease.spec.leaseDurationSeconds ?? this.#leaseMs / 1000) * 1000;
    const seen = {
      version,
      isOver: false,
      timer: this.#clock.after(ms, () => (seen.isOver = true)),
    };
    this.#seen = seen;
    return false;
  }

  #spec(transitions: number, acquired: boolean): object {
    const time = microTime(this.#clock.now());
    return {
      holderIdentity: this.#options.identity,
      leaseDurationSeconds: Math.ceil(this.#leaseMs / 1000),
      renewTime: time,
      leaseTransitions: transitions,
      ...(acquired ? { acquireTime: time } : {}),
    };
  }

  /** Gives the Lease back, so that the next leader need not wait. */
  async #release(): Promise<void> {
    const { api, namespace, name, identity, log } = this.#options;
    try {
      const lease = await api.get(leases, namespace, name);
      if (lease.spec.holderIdentity !== identity) return;
      await api.merge(leases, namespace, name, {
        metadata: { resourceVersion: lease.metadata.resourceVersion },
        spec: { holderIdentity: '' },
      });
    } catch (error) {
      log.warn({ code: codeOf(error), detail: messageOf(error) }, 'lease not given back');
    }
  }
}
