// SPDX-License-Identifier: Apache-2.0
// The node agent as a process of the simulation: the counterpart of node-agent/src/main.ts, on a simulated node.
import type { Logger } from '../../kube/src/index.ts';
import { Agent } from '../../node-agent/src/agent.ts';
import { readConfig } from '../../node-agent/src/support/config.ts';
import { Journal } from '../../node-agent/src/support/journal/journal.ts';
import type { ApiServer } from './api/server.ts';
import { SimulatedJournalFolder } from './node/disk.ts';
import { simulatedOperations, type NodeParts } from './node/operations.ts';
import type { Process } from './process.ts';

export interface AgentParts extends NodeParts {
  readonly server: ApiServer;
  readonly log: Logger;
}

/** Runs the agent until its process dies. */
export async function runAgent(process: Process, parts: AgentParts): Promise<void> {
  const { machine, server, log } = parts;
  const { journal } = await Journal.open(new SimulatedJournalFolder(machine));
  const env = { NODE_NAME: machine.name, NODE_IP: machine.name, SEALIFT_HOST_ROOT: '/' };
  const config = readConfig(env);
  const agent = new Agent({
    api: server.client(process, process.name),
    config,
    journal,
    log,
    effects: simulatedOperations(process, parts, config),
    clock: process.clock,
  });
  await agent.run(process.stop.signal);
}
