// SPDX-License-Identifier: Apache-2.0
// The operator writes a deadline as a time of its own clock. Clocks of two machines are never compared: the agent counts
// the same duration by its own clock, from when it first sees the deadline. The operator watches its deadlines itself, so
// an agent that sees one late, or again after a restart, only ends later by as much.
import { timeoutsOf } from '../../../crds/src/index.ts';
import { timestamp, type Clock } from '../../../kube/src/index.ts';
import type { Handover } from '../callers/request-lookup.ts';
import type { Entry } from '../support/journal/journal.ts';

export class LocalDeadlines {
  readonly #clock: Clock;
  /** By the request's UID. */
  readonly #seen = new Map<string, { written: string; at: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * @param written the operator's, of which only the presence and a change count
   * @param seconds after which the operator lets it pass
   * @returns milliseconds since the epoch by this node's clock; undefined without a deadline
   */
  at(uid: string, written: string | undefined, seconds: number): number | undefined {
    if (written === undefined) return undefined;
    const known = this.#seen.get(uid);
    if (known?.written === written) return known.at;
    const at = this.#clock.now() + seconds * 1000;
    this.#seen.set(uid, { written, at });
    return at;
  }

  /** The request is deleted. */
  forget(uid: string): void {
    this.#seen.delete(uid);
  }
}

/** Until when a move or a restore must be decided, by this node's clock. The journal keeps it across a restart. */
export function blackoutDeadline(
  deadlines: LocalDeadlines,
  request: Handover,
  entry: Entry | undefined,
): number | undefined {
  if (entry?.deadline !== undefined) return Date.parse(entry.deadline);
  const { metadata, status } = request;
  return deadlines.at(
    metadata.uid,
    status?.deadlines?.blackout,
    timeoutsOf(request).blackoutSeconds,
  );
}

/** For the journal. */
export function deadlineField(at: number | undefined): Pick<Entry, 'deadline'> {
  return at === undefined ? {} : { deadline: timestamp(at) };
}
