// SPDX-License-Identifier: Apache-2.0
// The operator, whole, as a process of the simulation: what operator/src/main.ts wires.
import { LeaderElector, type Logger } from '../../kube/src/index.ts';
import { Operator } from '../../operator/src/operator.ts';
import type { ApiServer } from './api/server.ts';
import type { Process } from './process.ts';

/** Longer than the product's, so that renewals are not most of what happens. */
const lease = { leaseMs: 60_000, renewMs: 40_000, retryMs: 12_000 };

/** @returns when the lease is lost: then the process ends, and another takes its place. */
export async function runOperator(process: Process, server: ApiServer, log: Logger): Promise<void> {
  const api = server.client(process, 'operator');
  const { clock } = process;
  const operator = new Operator({ api, log, clock });
  const namespace = 'sealift-system';
  const elector = new LeaderElector({
    ...{ api, log, clock, namespace, name: 'sealift-operator', identity: process.name },
    ...lease,
  });
  await elector.run((signal) => operator.run(signal), process.stop.signal);
}
