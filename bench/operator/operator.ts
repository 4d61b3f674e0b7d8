// SPDX-License-Identifier: Apache-2.0
// The operator as a process, which tells its memory and how long its reconcilers' runs took.
import { Client, loadConfig, makeLogger, reconcileSeconds } from '../../kube/src/index.ts';
import { Operator } from '../../operator/src/operator.ts';
import { RecordingRest } from '../src/api-log.ts';
import { serve } from '../native/rpc.ts';

export interface Sample {
  /** After a garbage collection. */
  readonly heapMiB: number;
  readonly residentMiB: number;
  /** Processor time of the process since its start. */
  readonly cpuMs: number;
}

/** Of every run: the metric's histogram is too coarse for a percentile. */
const seconds: number[] = [];
const observe = reconcileSeconds.observe.bind(reconcileSeconds) as (...all: unknown[]) => void;
reconcileSeconds.observe = (...all: unknown[]): void => {
  seconds.push(Number(all[1]));
  observe(...all);
};

const file = process.env['BENCH_SPANS'] ?? '/dev/null';
const api = new Client(new RecordingRest(loadConfig(), { file, lane: 'operator' }));
const operator = new Operator({ api, log: makeLogger('sealift-operator') });
void operator.run(new AbortController().signal);

serve({
  sample: (given: { all?: boolean } = {}) => {
    const { user, system } = process.cpuUsage();
    globalThis.gc?.();
    const { heapUsed, rss } = process.memoryUsage();
    const sample: Sample = {
      ...{ heapMiB: heapUsed / 2 ** 20, residentMiB: rss / 2 ** 20 },
      cpuMs: (user + system) / 1000,
    };
    return given.all ? { ...sample, seconds } : sample;
  },
});
