// SPDX-License-Identifier: Apache-2.0
// Objects that somebody has to look at from time to time, without an event that says when.
import type { Clock } from './clock.ts';
import { messageOf } from './errors.ts';
import type { Logger } from './logger.ts';

const REFRESH_MS = 600_000;
const RETRY_MS = 15_000;

export interface Refresh {
  /** May be repeated. Its errors are logged. */
  readonly refresh: (signal: AbortSignal) => Promise<unknown>;
  /** What the log says of a failure: a constant text. */
  readonly failed: string;
  readonly log: Logger;
  readonly clock: Clock;
}

/** Refreshes until the signal aborts: every 10 minutes, and 15 s after a failure. */
export async function keepRefreshed(of: Refresh, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    let waitMs = REFRESH_MS;
    try {
      await of.refresh(signal);
    } catch (error) {
      of.log.error({ detail: messageOf(error) }, of.failed);
      waitMs = RETRY_MS;
    }
    await of.clock.sleep(waitMs, signal);
  }
}
