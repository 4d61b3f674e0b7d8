// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import type { GidEntry } from '../../../../crds/src/index.ts';
import type { RdmaDriver } from './driver.ts';

const TRIES = 20;
const WAIT_MS = 100;

/**
 * GID tables of the pod's devices, once they have every address of their interfaces: the kernel fills them some time after
 * the addresses are there.
 * @returns undefined if they have not within a few seconds
 */
export async function settledGids(
  driver: Pick<RdmaDriver, 'gidEntries' | 'addressesAsGids'>,
  netns: string,
): Promise<GidEntry[] | undefined> {
  for (let tries = 0; tries < TRIES; tries++) {
    if (tries > 0) await sleep(WAIT_MS);
    const entries = await driver.gidEntries(netns);
    const gids = new Set(entries.map(({ gid }) => gid));
    if ((await driver.addressesAsGids(netns)).every((one) => gids.has(one))) return entries;
  }
  return undefined;
}
