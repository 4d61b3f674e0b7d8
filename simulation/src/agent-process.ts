// SPDX-License-Identifier: Apache-2.0
// The node agent as a process of the simulation: the counterpart of node-agent/src/main.ts, on a simulated node.
import type { Logger } from '../../kube/src/index.ts';
import { Agent } from '../../node-agent/src/agent.ts';
import { readConfig } from '../../node-agent/src/support/config.ts';
import { Journal } from '../../node-agent/src/support/journal/journal.ts';
import type { SocketHandlers } from '../../node-agent/src/callers/socket/server.ts';
import type { Server } from '../../node-agent/src/node/operations.ts';
import type { ApiServer } from './api/server.ts';
import { SimulatedJournalDirectory } from './node/disk.ts';
import type { Machine } from './node/machine.ts';
import { simulatedOperations, type NodeParts } from './node/operations.ts';
import type { Process } from './process.ts';

export interface AgentParts extends NodeParts {
  readonly server: ApiServer;
  readonly log: Logger;
}

/** Runs the agent until its process dies. */
export async function runAgent(process: Process, parts: AgentParts): Promise<void> {
  const { machine, server, log } = parts;
  const { journal } = await Journal.open(new SimulatedJournalDirectory(machine));
  const env = { NODE_NAME: machine.name, NODE_IP: machine.name, SEALIFT_HOST_ROOT: '/' };
  const config = readConfig(env);
  const agent = new Agent({
    api: server.client(process, process.name),
    config,
    journal,
    log,
    node: simulatedOperations(process, parts, config),
    socket: (handlers) => simulatedSocket(process, machine, handlers),
    clock: process.clock,
  });
  process.finish = () => agent.finish();
  await agent.run(process.stop.signal);
}

/** The agent's socket: open while this process listens. */
function simulatedSocket(process: Process, machine: Machine, handlers: SocketHandlers): Server {
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
