// SPDX-License-Identifier: Apache-2.0
// Slows down what is sent to a bandwidth: a token bucket. Without a limit nothing of this is there.
import { setTimeout as sleep } from 'node:timers/promises';
import type { ByteSink } from './image-stream.ts';

/** What a bucket holds at most: of a network that was busy, or a timer that was late, that much is made up for. */
const BURST_MS = 50;
/** A connection takes some bytes at least, so that no end of it takes it for dead. */
const LEAST_PIECE = 1024;
/** A shorter wait costs more than it is worth. */
const LEAST_WAIT_MS = 1;

export interface PaceClock {
  /** Milliseconds, monotonic. */
  now(): number;
  sleep(ms: number): Promise<unknown>;
}

const real: PaceClock = { now: () => performance.now(), sleep: (ms) => sleep(ms) };

/** A sink that takes that many bytes per second on average, and never more than the bucket holds at once. */
export function paced(sink: ByteSink, bytesPerSecond: number, clock: PaceClock = real): ByteSink {
  const piece = Math.max(LEAST_PIECE, Math.floor((bytesPerSecond * BURST_MS) / 1000));
  let due = clock.now();
  const wait = async (): Promise<void> => {
    const ms = due - clock.now();
    if (ms >= LEAST_WAIT_MS) await clock.sleep(ms);
  };
  return {
    write: async (bytes) => {
      for (let at = 0; at < bytes.length; at += piece) {
        const some = bytes.subarray(at, at + piece);
        await wait();
        due = Math.max(due, clock.now() - BURST_MS) + (some.length * 1000) / bytesPerSecond;
        await sink.write(some);
      }
    },
  };
}
