// SPDX-License-Identifier: Apache-2.0
// What a manifest says of the node that made the images: it decides which nodes can restore them.
import type { RdmaDriver } from '../device/driver.ts';
import { cpuFeatures } from '../host/cpu-features.ts';
import type { ManifestHeader } from '../transfer/manifest.ts';

/** @param version Sealift's. @throws AgentError DriverMissing */
export async function versionsOf(
  netns: string,
  { driver, version }: { driver: RdmaDriver; version: string },
): Promise<Pick<ManifestHeader, 'versions' | 'rdmaDevice'>> {
  const [device] = await driver.devices(netns);
  const features = await cpuFeatures();
  const versions = {
    ...{ sealift: version, kernel: driver.kernelRelease() },
    ...(features !== undefined && { cpuFeatures: features }),
  };
  if (!device) return { versions };
  const driverAbi = await driver.abi(netns, device.name);
  return { versions: { ...versions, driverAbi }, rdmaDevice: device.name };
}
