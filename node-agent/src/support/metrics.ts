// SPDX-License-Identifier: Apache-2.0
// The agent's own metrics; kube/src/metrics.ts has those of every process.
import { Counter, Histogram } from 'prom-client';
import { registry } from '../../../kube/src/index.ts';

export const stepSeconds = new Histogram({
  name: 'sealift_agent_step_seconds',
  help: 'How long a step of a handover took on this node.',
  labelNames: ['role', 'step'],
  buckets: [0.001, 0.005, 0.02, 0.1, 0.3, 1, 3, 10, 30, 100],
  registers: [registry],
});

export const failures = new Counter({
  name: 'sealift_agent_failures_total',
  help: 'Effects that failed, by the reason that the condition shows.',
  labelNames: ['effect', 'code'],
  registers: [registry],
});
