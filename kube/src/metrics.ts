// SPDX-License-Identifier: Apache-2.0
// Metrics that every process of Sealift has.
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

export const registry = new Registry();

export const reconcileSeconds = new Histogram({
  name: 'sealift_reconcile_seconds',
  help: 'How long a run of a reconciler took.',
  labelNames: ['controller'],
  buckets: [0.005, 0.02, 0.1, 0.5, 2, 10, 60],
  registers: [registry],
});

export const reconcileErrors = new Counter({
  name: 'sealift_reconcile_errors_total',
  help: 'Runs of a reconciler that failed, by error code.',
  labelNames: ['controller', 'code'],
  registers: [registry],
});

export const queueLength = new Gauge({
  name: 'sealift_queue_length',
  help: 'Keys that wait for a run.',
  labelNames: ['controller'],
  registers: [registry],
});

export const isLeader = new Gauge({
  name: 'sealift_leader',
  help: '1 while this process has the Lease.',
  registers: [registry],
});
