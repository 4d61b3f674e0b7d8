// SPDX-License-Identifier: Apache-2.0
// The node agent, whole, as a process of the simulation: what node-agent/src/main.ts wires, with a simulated node.
import { Agent } from '../../node-agent/src/agent.ts';
import { readConfig, type Config } from '../../node-agent/src/support/config.ts';
import type { SocketHandlers } from '../../node-agent/src/callers/socket/server.ts';
import type { NodeOperations, Server } from '../../node-agent/src/node/operations.ts';
import { NetworkLock } from '../../node-agent/src/node/lock/network-lock.ts';
import { Host } from '../../node-agent/src/node/host/host.ts';
import { Journal } from '../../node-agent/src/support/journal/journal.ts';
import { RdmaDriver } from '../../node-agent/src/node/device/driver.ts';
import { Runc } from '../../node-agent/src/node/runtime/runc.ts';
import type { Logger } from '../../kube/src/index.ts';
import type { ApiServer } from './api/server.ts';
import type { Network } from './network.ts';
import type { Machine } from './node/machine.ts';
import { effect, type Kernel } from './node/kernel.ts';
import {
  SimulatedCheckpointer,
  SimulatedEditor,
  SimulatedFolder,
  SimulatedRestorer,
  SimulatedStore,
  type Luck,
} from './node/pieces.ts';
import type { Process } from './process.ts';

const config = (nodeName: string): Config =>
  readConfig({ NODE_NAME: nodeName, NODE_IP: nodeName, SEALIFT_HOST_ROOT: '/' });

export interface AgentWorld {
  readonly server: ApiServer;
  readonly network: Network;
  readonly kernel: Kernel;
  readonly luck: Luck;
  readonly log: Logger;
}

/** Runs until the process dies. */
export async function runAgent(
  process: Process,
  machine: Machine,
  world: AgentWorld,
): Promise<void> {
  const { journal } = await Journal.open(new SimulatedFolder(machine));
  const settings = config(machine.name);
  const agent = new Agent({
    api: world.server.client(process, process.name),
    config: settings,
    journal,
    log: world.log,
    node: nodeOf(process, machine, world, settings),
    socket: (handlers) => socketOf(process, machine, handlers),
    clock: process.clock,
  });
  await agent.run(process.stop.signal);
}

function socketOf(process: Process, machine: Machine, handlers: SocketHandlers): Server {
  const close = (): void => {
    if (machine.socket?.agent === process) machine.socket = undefined;
  };
  process.onDeath(close);
  return {
    listen: async () => {
      machine.socket = { handlers, agent: process };
    },
    close: async () => close(),
  };
}

function nodeOf(
  process: Process,
  machine: Machine,
  { network, kernel, luck }: AgentWorld,
  { workDir: workRoot, socketPath }: Config,
): NodeOperations {
  const host = new Host({ root: '/' });
  const driver = new RdmaDriver();
  // Its node is made by mkdir and mknod: of no consequence here.
  driver.node = (device) => Promise.resolve(`/dev/${device.name}`);
  const lock = new NetworkLock((netns, commands) => kernel.nft(netns, commands));
  const store = new SimulatedStore(machine);
  const editor = new SimulatedEditor([host, driver], machine);
  const shared = { host, lock, driver, store, workRoot, socketPath };
  return {
    host,
    driver,
    lock,
    store,
    editor,
    checkpointer: new SimulatedCheckpointer(
      { ...shared, runc: new Runc(host), version: '0' },
      machine,
      luck,
    ),
    restorer: new SimulatedRestorer({ ...shared, editor }, machine),
    send: (options) => network.send(machine, process, options),
    receiver: (on) => network.receiver(machine, process, on),
    prepare: async () => undefined,
    // A simulated kubelet makes a sandbox from nothing.
    keepSandboxes: async () => effect(machine.timeline, 1, () => undefined),
    removeWork: async (id) => {
      await effect(machine.timeline, 1, () => machine.work.delete(id));
    },
  };
}
