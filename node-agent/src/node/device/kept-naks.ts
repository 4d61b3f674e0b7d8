// SPDX-License-Identifier: Apache-2.0
// NAKs that end a connection. A peer sends one once, and nothing after it; a held queue pair keeps it and obeys it when its
// device resumes. One that reaches the source after the dump of its queue pair goes to the target by itself (docs/adr/0034).
import type { Nak } from '../../../../crds/src/index.ts';
import * as addon from '../../../../native/addon/index.ts';
import { isErrno } from '../../support/errors.ts';
import type { RdmaDriver } from './driver.ts';

type Devices = Pick<RdmaDriver, 'devices'>;

/**
 * What the held devices of a namespace keep, of all packets that they have received (method DUMP_NAKS of native/rxe). A device that is
 * not held keeps none, nor does one of another driver.
 * @throws the driver's error
 */
export async function keptNaks(driver: Devices, netns: string): Promise<Nak[]> {
  const naks: Nak[] = [];
  for (const { name } of await driver.devices(netns)) {
    try {
      naks.push(...(await addon.rxeNaks({ netns, device: name })));
    } catch (error) {
      if (!isErrno(error, 'EBUSY') && !isErrno(error, 'AbiMismatch')) throw error;
    }
  }
  return naks;
}

/**
 * Gives NAKs to the restored queue pairs of held devices (method RESTORE_NAK of native/rxe). A device that has resumed takes none: the
 * agent has given them before, and does so once more after a restart.
 * @returns those that no queue pair awaits
 * @throws the driver's error
 */
export async function giveNaks(
  driver: Devices,
  netns: string,
  naks: readonly Nak[],
): Promise<Nak[]> {
  let left = [...naks];
  if (left.length === 0) return left;
  for (const { name } of await driver.devices(netns)) {
    try {
      left = await addon.rxeRestoreNaks({ netns, device: name, naks: left });
    } catch (error) {
      if (!isErrno(error, 'EBUSY')) throw error;
      left = [];
    }
  }
  return left;
}
