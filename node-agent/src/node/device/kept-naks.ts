// SPDX-License-Identifier: Apache-2.0
// NAKs that end a connection. A peer sends one once, and nothing after it; a held queue pair keeps it and obeys it when its
// device resumes. One that reaches the source after the dump of its queue pair goes to the target by itself (docs/adr/0034).
// A driver that fails here costs one connection at most. It keeps no pod from being resumed or stopped.
import type { Nak } from '../../../../crds/src/index.ts';
import * as addon from '../../../../native/addon/index.ts';
import { isErrno, reasonOf, type Failure } from '../../support/errors.ts';
import type { RdmaDriver } from './driver.ts';

type Devices = Pick<RdmaDriver, 'devices'>;

/** What devices keep. */
export interface KeptNaks {
  readonly naks: Nak[];
  /** Of devices that could not be asked. */
  readonly failures: readonly Failure[];
}

/** What has become of NAKs that were given. */
export interface GivenNaks {
  /** Those that no queue pair awaits, and that no device may have taken before. */
  readonly refused: Nak[];
  /** Of devices that could not be told. */
  readonly failures: readonly Failure[];
}

/**
 * What the held devices of a namespace keep, of all packets that they have received (method DUMP_NAKS of native/rxe). A device that is
 * not held keeps none, nor does one of another driver.
 * @throws the error of a namespace whose devices cannot be listed
 */
export async function keptNaks(driver: Devices, netns: string): Promise<KeptNaks> {
  const naks: Nak[] = [];
  const failures: Failure[] = [];
  for (const { name } of await driver.devices(netns)) {
    try {
      naks.push(...(await addon.rxeNaks({ netns, device: name })));
    } catch (error) {
      if (!isErrno(error, 'EBUSY') && !isErrno(error, 'AbiMismatch'))
        failures.push(reasonOf(error));
    }
  }
  return { naks, failures };
}

/**
 * Gives NAKs to the restored queue pairs of held devices (method RESTORE_NAK of native/rxe). A device that has resumed takes none: the
 * agent has given them before, and does so once more after a restart. One of another driver has no such queue pair.
 * @throws the error of a namespace whose devices cannot be listed
 */
export async function giveNaks(
  driver: Devices,
  netns: string,
  naks: readonly Nak[],
): Promise<GivenNaks> {
  let left = [...naks];
  let hasResumed = false;
  const failures: Failure[] = [];
  if (left.length === 0) return { refused: left, failures };
  for (const { name } of await driver.devices(netns)) {
    try {
      left = await addon.rxeRestoreNaks({ netns, device: name, naks: left });
    } catch (error) {
      if (isErrno(error, 'EBUSY')) hasResumed = true;
      else if (!isErrno(error, 'AbiMismatch')) failures.push(reasonOf(error));
    }
  }
  return { refused: hasResumed ? [] : left, failures };
}
