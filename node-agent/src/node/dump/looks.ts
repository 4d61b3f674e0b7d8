// SPDX-License-Identifier: Apache-2.0
// What processes have for a moment is no reason to refuse a pod: a program that is being started, a request that is about to be
// answered, a context between two lists. So who looks at them looks several times.
import { setTimeout as sleep } from 'node:timers/promises';

const LOOKS = 3;

export interface Looking {
  betweenMs: number;
  /** What is found is given as the first look has it. Absent: as the last one has. */
  asFirst?: boolean;
  sleep?: ((ms: number) => Promise<unknown>) | undefined;
}

/**
 * What is found in each of three looks. Where one finds nothing there is no further one.
 * @param keyOf what a thing has in each look, and nothing else has
 */
export async function foundInEach<T>(
  look: () => Promise<readonly T[]>,
  keyOf: (one: T) => string,
  { betweenMs, asFirst = false, sleep: wait = sleep }: Looking,
): Promise<readonly T[]> {
  let found = await look();
  for (let looks = 1; looks < LOOKS && found.length > 0; looks++) {
    await wait(betweenMs);
    const now = await look();
    const [kept, other] = asFirst ? [found, now] : [now, found];
    const keys = new Set(other.map(keyOf));
    found = kept.filter((one) => keys.has(keyOf(one)));
  }
  return found;
}
