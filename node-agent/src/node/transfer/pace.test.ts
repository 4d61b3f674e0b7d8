// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { paced, type PaceClock } from './pace.ts';

/** A clock that goes on only while somebody sleeps, and a sink that notes when it gets what. */
function bench({ late = 0, takes = 0 }: { late?: number; takes?: number } = {}) {
  let now = 1000;
  const clock: PaceClock = {
    now: () => now,
    sleep: async (ms) => void (now += ms + late),
  };
  const got: { at: number; bytes: Buffer }[] = [];
  const sink = {
    write: async (bytes: Buffer) => {
      got.push({ at: now - 1000, bytes: Buffer.from(bytes) });
      now += takes;
    },
  };
  const pass = (ms: number): void => void (now += ms);
  return { clock, sink, got, pass, elapsed: () => now - 1000 };
}
const RATE = 1_000_000;

describe('a paced sink', () => {
  it('takes as many bytes a second as it should, in their order, whatever the sizes', async () => {
    const { clock, sink, got, elapsed } = bench();
    const to = paced(sink, RATE, clock);
    const sent: Buffer[] = [];
    for (const size of [1, 0, 511, 300_000, 64_000, 635_488]) {
      const bytes = Buffer.alloc(size, size % 251);
      sent.push(bytes);
      await to.write(bytes);
    }
    expect(Buffer.concat(got.map(({ bytes }) => bytes))).toEqual(Buffer.concat(sent));
    expect(elapsed()).toBeGreaterThan(940);
    expect(elapsed()).toBeLessThanOrEqual(1000);
  });

  it('never lets more through in any stretch of time than the limit and one burst', async () => {
    const { clock, sink, got, pass } = bench();
    const to = paced(sink, RATE, clock);
    await to.write(Buffer.alloc(200_000));
    // The application's disk was slow: that is not made up for by sending faster.
    pass(5000);
    await to.write(Buffer.alloc(400_000));
    for (const [first, from] of got.entries()) {
      let bytes = 0;
      for (const { at, bytes: some } of got.slice(first)) {
        bytes += some.length;
        expect(bytes).toBeLessThanOrEqual(((at - from.at) * RATE) / 1000 + 100_001);
      }
    }
    expect(got.every(({ bytes }) => bytes.length <= 50_000)).toBe(true);
  });

  it('makes up for timers that are late', async () => {
    const { clock, sink, elapsed } = bench({ late: 4 });
    await paced(sink, RATE, clock).write(Buffer.alloc(1_000_000));
    expect(elapsed()).toBeLessThan(1010);
  });

  it('does not wait where the network is slower', async () => {
    const { clock, sink, elapsed, got } = bench({ takes: 100 });
    await paced(sink, RATE, clock).write(Buffer.alloc(500_000));
    expect([elapsed(), got.length]).toEqual([1000, 10]);
  });

  it('goes on at the lowest bandwidth, a little at a time', async () => {
    const { clock, sink, got, elapsed } = bench();
    await paced(sink, 65_536, clock).write(Buffer.alloc(65_536));
    expect(elapsed()).toBeLessThanOrEqual(1000);
    expect(got.length).toBeGreaterThan(15);
  });

  it('passes a failure on, and sends nothing after it', async () => {
    const { clock } = bench();
    let writes = 0;
    const to = paced(
      { write: async () => Promise.reject(new Error(`no ${++writes}`)) },
      RATE,
      clock,
    );
    await expect(to.write(Buffer.alloc(200_000))).rejects.toThrow('no 1');
    expect(writes).toBe(1);
  });
});
