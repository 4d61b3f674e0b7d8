// SPDX-License-Identifier: Apache-2.0
// The operator's own metrics; kube/src/metrics.ts has those of every process.
import { Counter, Histogram } from 'prom-client';
import { registry } from '../../kube/src/index.ts';

export const requestsFinished = new Counter({
  name: 'sealift_requests_finished_total',
  help: 'Requests that have finished, by kind and reason.',
  labelNames: ['kind', 'reason'],
  registers: [registry],
});

export const blackoutSeconds = new Histogram({
  name: 'sealift_blackout_seconds',
  help: 'How long migrated pods did not run.',
  buckets: [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120],
  registers: [registry],
});

export const evictionsAnswered = new Counter({
  name: 'sealift_evictions_answered_total',
  help: 'Evictions that the webhook was asked about, by its answer: Allow, Refuse, Move or Error.',
  labelNames: ['verdict'],
  registers: [registry],
});

export const evictionSeconds = new Histogram({
  name: 'sealift_eviction_answer_seconds',
  help: 'How long the eviction webhook took to answer.',
  buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10],
  registers: [registry],
});
