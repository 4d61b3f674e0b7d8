// SPDX-License-Identifier: Apache-2.0
import { realClock, type Clock } from '../src/index.ts';

/** A clock whose time is what the test says. Its timers take as long as they do; nothing is spread. */
export const clockAt = (now: () => number): Clock => ({
  now,
  after: (ms, call) => realClock.after(ms, call),
  sleep: (ms, signal) => realClock.sleep(ms, signal),
});
