// SPDX-License-Identifier: Apache-2.0
// Images with verbs objects are restored only by a driver that has the format of the one that they were dumped from.
import { AgentError } from '../../support/errors.ts';
import type { RdmaDriver } from '../device/driver.ts';
import type { Manifest } from '../transfer/manifest.ts';

/** @param netns of the new pod. One without a device is refused elsewhere. @throws AgentError ImageVersion */
export async function refuseOtherAbi(
  driver: Pick<RdmaDriver, 'devices' | 'abi'>,
  netns: string,
  { versions, objects }: Manifest,
): Promise<void> {
  const wanted = versions.driverAbi;
  if (wanted === undefined || objects.qp + objects.mr === 0) return;
  const [device] = await driver.devices(netns);
  if (!device) return;
  const here = await driver.abi(netns, device.name);
  if (here === wanted) return;
  throw new AgentError(
    'ImageVersion',
    `The images were made with driver ABI ${wanted}, this node has ${here} (label sealift.dev/driver-abi).`,
  );
}
