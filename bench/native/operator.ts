// SPDX-License-Identifier: Apache-2.0
// The operator as a process, as operator/src/main.ts starts it once it leads. The native part's agents renew no Leases, so it
// gets no namespace to look for them in.
import { Client, loadConfig, makeLogger } from '../../kube/src/index.ts';
import { Operator } from '../../operator/src/operator.ts';
import { RecordingRest } from '../src/api-log.ts';

const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());
const file = process.env['BENCH_SPANS'] ?? '/dev/null';
const api = new Client(new RecordingRest(loadConfig(), { file, lane: 'operator' }));
await new Operator({ api, log: makeLogger('sealift-operator') }).run(stop.signal);
process.exit(0);
