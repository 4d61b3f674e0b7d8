// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, it } from 'vitest';
import type { Api } from './api.ts';
import { FakeClock, type Clock } from './clock.ts';
import { ApiError } from './errors.ts';
import { LeaderElector } from './leader.ts';
import { silent } from './logger.ts';

type Call = { readonly signal?: AbortSignal };
const leaseMs = 30_000;
const renewMs = 20_000;

describe('a leader and one that waits', () => {
  let clock: FakeClock;
  /** By how much the machine's clock of the leader was set. */
  let set: number;
  let version: number;
  let holder: string | undefined;
  let renewedAt: number;
  /** How the API server answers the leader. */
  let answers: 'at once' | 'not at all' | 'not even when aborted' | 'with errors' | 'late';
  let stop: AbortController;

  beforeEach(() => {
    [clock, set, version, holder, renewedAt] = [new FakeClock(), 0, 1, undefined, 0];
    answers = 'at once';
    stop = new AbortController();
    return () => stop.abort();
  });

  async function answer({ signal }: Call): Promise<void> {
    if (answers === 'with errors') throw new Error('no answer');
    if (answers === 'late') await clock.sleep(9_000, signal);
    if (answers === 'not at all') await clock.sleep(1e9, signal);
    if (answers === 'not even when aborted') await new Promise(() => undefined);
    if (signal?.aborted) throw new Error('aborted');
  }

  const apiOf = (answered: (call: Call) => Promise<void>): Api =>
    ({
      get: async (_resource: unknown, _namespace: string, _name: string, call: Call = {}) => {
        await answered(call);
        if (holder === undefined) throw new ApiError(404, 'NotFound', 'not found');
        const metadata = { resourceVersion: String(version) };
        return { metadata, spec: { holderIdentity: holder, leaseDurationSeconds: leaseMs / 1000 } };
      },
      create: async (_resource: unknown, _namespace: string, body: Body, call: Call) => {
        await answered(call);
        write(body);
      },
      merge: async (
        _resource: unknown,
        _namespace: string,
        _name: string,
        body: Body,
        call: Call = {},
      ) => {
        await answered(call);
        write(body);
      },
    }) as unknown as Api;
  type Body = { readonly spec: { readonly holderIdentity: string } };
  const write = ({ spec }: Body): void => {
    version++;
    holder = spec.holderIdentity;
    renewedAt = clock.now();
  };

  function start(identity: string, own: Clock, answered: (call: Call) => Promise<void>) {
    const options = { log: silent, namespace: 'n', name: 'l', leaseMs, renewMs };
    const elector = new LeaderElector({ ...options, api: apiOf(answered), identity, clock: own });
    const run: { leads: boolean; end?: string; endedAt?: number } = { leads: false };
    const lead = async (signal: AbortSignal): Promise<void> => {
      run.leads = true;
      await clock.sleep(1e9, signal);
      run.leads = false;
      run.endedAt = clock.now();
    };
    void elector.run(lead, stop.signal).then((end) => (run.end = end));
    return run;
  }
  const first = () => {
    const own: Clock = {
      now: () => clock.now() + set,
      after: (ms, call) => clock.after(ms, call),
      sleep: (ms, signal) => clock.sleep(ms, signal),
    };
    return start('first', own, answer);
  };
  const seconds = async (count: number, each: () => void = () => undefined): Promise<void> => {
    for (let n = 0; n < count; n++) {
      await clock.advance(1000);
      each();
    }
  };

  it.each<typeof answers>(['not at all', 'not even when aborted', 'with errors', 'late'])(
    'stops before another one leads when the API server answers it %s',
    async (how) => {
      const one = first();
      await clock.advance(0);
      const other = start('other', clock, () => Promise.resolve());
      await seconds(7);
      expect([one.leads, other.leads]).toEqual([true, false]);
      answers = how;
      const last = renewedAt;
      await seconds(60, () => expect(one.leads && other.leads, 'two lead').toBe(false));
      expect(one.end).toBe('lost');
      expect(one.endedAt).toBeLessThanOrEqual(last + renewMs);
      expect(other.leads).toBe(true);
    },
  );

  it('goes on when answers were missing for a while', async () => {
    const one = first();
    for (const how of ['at once', 'with errors', 'at once', 'not at all', 'at once'] as const) {
      answers = how;
      await seconds(14);
    }
    expect(one).toEqual({ leads: true });
  });

  it.each([3_600_000, -3_600_000])(
    'keeps both times when its clock is set by %i ms',
    async (ms) => {
      const one = first();
      await seconds(7);
      set = ms;
      await seconds(30);
      expect(one.leads).toBe(true);
      answers = 'not at all';
      const last = renewedAt;
      await seconds(30);
      expect(one.endedAt).toBeLessThanOrEqual(last + renewMs);
    },
  );

  it('is not replaced early by one whose clock is set', async () => {
    const one = start('leader', clock, () => Promise.resolve());
    await seconds(7);
    const other = first();
    await seconds(7);
    set = 3_600_000;
    await seconds(60);
    expect([one.leads, other.leads]).toEqual([true, false]);
  });

  it('stops at once when another one has the Lease, as after a suspend that no timer has counted', async () => {
    const one = first();
    await seconds(7);
    [holder, version] = ['other', version + 1];
    await seconds(7);
    expect(one.end).toBe('lost');
    expect(holder).toBe('other');
  });

  it('gives the Lease back when it is stopped', async () => {
    const one = first();
    await seconds(7);
    stop.abort();
    await clock.advance(0);
    expect([one.end, holder]).toEqual(['stopped', '']);
  });
});
