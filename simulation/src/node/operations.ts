// SPDX-License-Identifier: Apache-2.0
// The node operations (node-agent/src/node/operations.ts) of an agent on a simulated node.
import { Host } from '../../../node-agent/src/node/host/host.ts';
import { PodAddresses } from '../../../node-agent/src/node/device/pod-addresses.ts';
import { RdmaDriver } from '../../../node-agent/src/node/device/driver.ts';
import { NetworkLock } from '../../../node-agent/src/node/lock/network-lock.ts';
import type { NodeOperations } from '../../../node-agent/src/node/operations.ts';
import { Runc } from '../../../node-agent/src/node/runtime/runc.ts';
import type { Config } from '../../../node-agent/src/support/config.ts';
import type { Network } from '../network.ts';
import type { Process } from '../process.ts';
import { SimulatedCheckpointer, simulatedExec, type DumpFaults } from './checkpointer.ts';
import { SimulatedImageStore } from './disk.ts';
import { runEffect, type Kernel } from './kernel.ts';
import type { Machine } from './machine.ts';
import { SimulatedBundleEditor, SimulatedRestorer } from './restorer.ts';

/** What an agent finds around it on its node. */
export interface NodeParts {
  readonly machine: Machine;
  readonly network: Network;
  readonly kernel: Kernel;
  readonly nodeFaults: DumpFaults;
  /** How long a dump takes, in milliseconds. */
  readonly dumpMs?: number | undefined;
}

/** @param process the agent's. */
export function simulatedOperations(
  process: Process,
  { machine, network, kernel, nodeFaults, dumpMs }: NodeParts,
  { workDir: workRoot, socketPath }: Config,
): NodeOperations {
  const host = new Host({ root: '/' });
  const driver = new RdmaDriver();
  // The product makes the device node with mkdir and mknod. Nothing reads it here.
  driver.makeNode = (device) => Promise.resolve(`/dev/${device.name}`);
  const lock = new NetworkLock((netns, commands) => kernel.nft(netns, commands));
  const store = new SimulatedImageStore(machine);
  const editor = new SimulatedBundleEditor([host, driver], machine);
  const addresses = new PodAddresses(driver);
  const shared = { host, lock, driver, addresses, store, workRoot, socketPath };
  return {
    host,
    driver,
    lock,
    store,
    editor,
    checkpointer: new SimulatedCheckpointer(
      {
        ...{ ...shared, runc: new Runc(host), exec: simulatedExec(machine), version: '0' },
        unmovable: { check: () => Promise.resolve() },
        links: { check: () => Promise.resolve() },
        clusterSockets: {
          check: () => Promise.resolve(),
          lost: () => Promise.resolve(0),
          lostOfFrozen: () => Promise.resolve({ count: 0, lend: [] }),
        },
        deviceObjects: {
          check: () => Promise.resolve(),
          checkAddresses: () => Promise.resolve(),
          firstPeerToGiveUp: () => Promise.resolve(undefined),
        },
      },
      machine,
      { faults: nodeFaults, dumpMs },
    ),
    restorer: new SimulatedRestorer({ ...shared, editor }, machine),
    send: (options) => network.send(machine, process, options),
    receiver: (on) => network.receiver(machine, process, on),
    prepare: async () => undefined,
    // A simulated kubelet needs no images to make a sandbox.
    syncCniState: async () => runEffect(machine.timeline, 1, () => undefined),
    removeWork: async (id) => {
      await runEffect(machine.timeline, 1, () => {
        if (!machine.work.has(id)) return;
        machine.disk.remove();
        machine.work.delete(id);
      });
    },
  };
}
