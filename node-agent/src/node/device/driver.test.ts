// SPDX-License-Identifier: Apache-2.0
// Which devices the agent takes for its own. What needs the kernel is tested on the lab's nodes.
import { describe, expect, it } from 'vitest';
import type { RdmaDevice } from '../../../../native/addon/index.ts';
import { RdmaDriver } from './driver.ts';

class DriverWith extends RdmaDriver {
  readonly #devices: Partial<RdmaDevice>[];
  constructor(devices: Partial<RdmaDevice>[]) {
    super();
    this.#devices = devices;
  }
  override async devices(): Promise<RdmaDevice[]> {
    return this.#devices as RdmaDevice[];
  }
}

describe('a pod’s RDMA device', () => {
  it('is not made again', async () => {
    const driver = new DriverWith([{ name: 'rxe-a', netdev: 'net1' }]);
    await expect(driver.create('/run/netns/x', 'rxe-a', 'net1')).resolves.toBeUndefined();
  });

  it('is not one of that name on another interface', async () => {
    const driver = new DriverWith([{ name: 'rxe-a', netdev: 'net2' }]);
    await expect(driver.create('/run/netns/x', 'rxe-a', 'net1')).rejects.toMatchObject({
      code: 'DeviceNameTaken',
      message: expect.stringMatching(/rxe-a is on net2, not on net1/) as string,
    });
  });
});
