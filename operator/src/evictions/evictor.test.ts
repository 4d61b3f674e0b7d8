// SPDX-License-Identifier: Apache-2.0
// For how long an eviction is thought about. What is answered is in decide.test.ts.
import { describe, expect, it } from 'vitest';
import { annotations } from '../../../crds/src/index.ts';
import {
  FakeClock,
  pods,
  silent,
  type Api,
  type EventRecorder,
  type Resource,
} from '../../../kube/src/index.ts';
import { pod } from '../../testing/objects.ts';
import type { Eviction, EvictionAnswer } from './decide.ts';
import { Evictor } from './evictor.ts';

const guarded = pod({ metadata: { annotations: { [annotations.eviction]: 'migrate' } } });
const { uid, name: podName, namespace } = guarded.metadata;
const eviction: Eviction = { namespace, podName, podUid: uid, isDryRun: false };
const owner = { metadata: { name: namespace, labels: {}, annotations: {} } };

interface Call {
  readonly signal: AbortSignal;
}

class Guard {
  readonly clock = new FakeClock();
  readonly stop = new AbortController();
  /** Reads that begin meanwhile do not end before their signal aborts. */
  isStuck = false;
  reads = 0;
  readonly evictor = new Evictor({
    api: {
      get: async (of: Resource<unknown>, ...[, , { signal }]: [string, string, Call]) => {
        await this.#read(signal);
        return of === pods ? guarded : owner;
      },
      list: async (_of: unknown, { signal }: Call) => {
        await this.#read(signal);
        return { items: [], resourceVersion: '1' };
      },
    } as unknown as Api,
    events: {} as EventRecorder,
    log: silent,
    clock: this.clock,
  });

  ask(about = eviction): { answer?: EvictionAnswer; error?: unknown } {
    const seen: ReturnType<Guard['ask']> = {};
    void this.evictor.guard(about, this.stop.signal).then(
      (answer) => (seen.answer = answer),
      (error: unknown) => (seen.error = error),
    );
    return seen;
  }

  async #read(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.reads++;
    if (!this.isStuck) return;
    const { promise, reject } = Promise.withResolvers<never>();
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    await promise;
  }
}

const refused = (text: string) => ({
  answer: { verdict: 'Refuse', message: expect.stringContaining(text) as string },
});

describe('the guard', () => {
  it('refuses what is to be moved', async () => {
    const guard = new Guard();
    const seen = guard.ask();
    await guard.clock.advance(300);
    expect(seen).toEqual(refused('is to be moved'));
  });

  it('answers before the API server gives up, though the other answer does not come', async () => {
    const guard = new Guard();
    guard.isStuck = true;
    void guard.evictor.answer(eviction, guard.stop.signal).catch(() => undefined);
    await guard.clock.advance(0);
    guard.isStuck = false;
    const seen = guard.ask();
    await guard.clock.advance(6_900);
    expect(seen).toEqual({});
    await guard.clock.advance(200);
    expect(seen).toEqual(refused('is to be moved'));
  });

  it.each<[string, (guard: Guard) => Promise<void>]>([
    ['after 7 s', (guard) => guard.clock.advance(7_100)],
    [
      'when nobody waits for it any more',
      async (guard) => {
        guard.stop.abort(new Error('over'));
        await guard.clock.advance(0);
        expect(guard.reads, 'nothing is read for nobody').toBe(8);
      },
    ],
  ])('refuses what it could not find out: %s', async (_name, pass) => {
    const guard = new Guard();
    guard.isStuck = true;
    // Those behind others, too, which have not begun.
    const all = Array.from({ length: 20 }, () => guard.ask());
    await guard.clock.advance(1_000);
    expect(guard.reads).toBe(8);
    await pass(guard);
    for (const seen of all) expect(seen).toEqual(refused('in time'));
  });

  it('refuses soon when many wait, and answers again afterwards', async () => {
    const guard = new Guard();
    guard.isStuck = true;
    const all = Array.from({ length: 73 }, () => guard.ask());
    await guard.clock.advance(100);
    expect(all.slice(0, 72).every(({ answer }) => answer === undefined)).toBe(true);
    expect(all[72]).toEqual(refused('at once'));
    await guard.clock.advance(7_100);
    guard.isStuck = false;
    const seen = guard.ask();
    await guard.clock.advance(300);
    expect(seen).toEqual(refused('is to be moved'));
  });

  /** What the API server asks both webhooks about while strangers keep the guard busy. */
  it.each<[string, number, Partial<Eviction>, number, object]>([
    ['one that may go', 72, { podUid: 'gone' }, 0, { answer: { verdict: 'Allow' } }],
    ['one that may go, in the queue', 20, { podUid: 'gone' }, 0, { answer: { verdict: 'Allow' } }],
    [
      'one that may go, asked a moment later',
      72,
      { podUid: 'gone' },
      50,
      { answer: { verdict: 'Allow' } },
    ],
    [
      'one that was answered a moment ago',
      72,
      { podUid: 'gone' },
      -800,
      { answer: { verdict: 'Allow' } },
    ],
    ['one that was answered too long ago', 72, { podUid: 'gone' }, -1_100, refused('at once')],
    ['one that is to be moved', 72, {}, 0, refused('is to be moved')],
    ['one that only strangers ask about', 72, { podUid: 'gone' }, NaN, refused('at once')],
  ])(
    'is not kept from answering by strangers: %s',
    async (_what, strangers, about, afterMs, expected) => {
      const guard = new Guard();
      const own = { ...eviction, ...about };
      const answer = (): void => void guard.evictor.answer(own, guard.stop.signal);
      const later = async (ms: number): Promise<void> => {
        await guard.clock.advance(ms);
        answer();
      };
      if (afterMs < 0) await later(0);
      await guard.clock.advance(Math.max(0, -afterMs || 0));
      guard.isStuck = true;
      for (let n = 0; n < strangers; n++) guard.ask({ ...eviction, podUid: undefined });
      await guard.clock.advance(150);
      guard.isStuck = false;
      if (afterMs === 0) answer();
      const seen = guard.ask(own);
      if (afterMs > 0) await later(afterMs);
      await guard.clock.advance(400);
      expect(seen).toEqual(expected);
    },
  );

  it('fails where it cannot know: the failurePolicy decides', async () => {
    const broken = new Evictor({
      api: { get: () => Promise.reject(new Error('no answer')) } as unknown as Api,
      events: {} as EventRecorder,
      log: silent,
    });
    await expect(broken.guard(eviction, AbortSignal.timeout(10_000))).rejects.toThrow('no answer');
  });
});
