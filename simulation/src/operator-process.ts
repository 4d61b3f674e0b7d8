// SPDX-License-Identifier: Apache-2.0
// The operator as a process of the simulation: the counterpart of operator/src/main.ts.
import { LeaderElector, type Logger } from '../../kube/src/index.ts';
import { Operator } from '../../operator/src/operator.ts';
import type { ApiServer } from './api/server.ts';
import type { Process } from './process.ts';

/** Longer than the product's: renewals would be most of a run's steps. */
const lease = { leaseMs: 60_000, renewMs: 40_000, retryMs: 12_000 };

/** Where the agents' Leases are: beside that of the operator, of which there are many versions. */
export const agentNamespace = 'sealift-agents';

/** @returns when the operator has lost its lease. Then the process ends, and another one replaces it. */
export async function runOperator(process: Process, server: ApiServer, log: Logger): Promise<void> {
  const api = server.client(process, 'operator');
  const { clock } = process;
  const operator = new Operator({ api, log, clock, namespace: agentNamespace });
  const namespace = 'sealift-system';
  const elector = new LeaderElector({
    ...{ api, log, clock, namespace, name: 'sealift-operator', identity: process.name },
    ...lease,
  });
  await elector.run((signal) => operator.run(signal), process.stop.signal);
}
