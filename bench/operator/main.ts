// SPDX-License-Identifier: Apache-2.0
// The operator part: a real API server and etcd with many nodes, foreign pods and queued requests, and the operator as a
// process of its own. The agents' part of each move is written by this process, as the agents write it, so that moves end and
// the queue advances. No pod runs.
// usage: main.ts CHECKOUT LAB OUT; NODES, PODS, REQUESTS: how many of each
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isFinished, type MigrationRequest } from '../../crds/src/index.ts';
import { Informer, migrationRequests, silent } from '../../kube/src/index.ts';
import { startApiServer, type TestServer } from '../../kube/testing/api-server.ts';
import { nodeOptionsOf, render } from '../../kube/testing/chart.ts';
import { runHere } from '../../node-agent/src/node/host/host.ts';
import { measuredCheckout } from '../native/checkout.ts';
import { Peer } from '../native/rpc.ts';
import type { Span } from '../src/api-log.ts';
import { figureOf, percentile, type Figure } from '../src/figure.ts';
import { Agents } from './agents.ts';
import { fill, type Sizes } from './population.ts';
import type { Sample } from './operator.ts';

const [, , out = ''] = process.argv.slice(2);
const number = (name: string, otherwise: number): number => Number(process.env[name] || otherwise);
const sizes: Sizes = {
  nodes: number('NODES', 200),
  pods: number('PODS', 50_000),
  requests: number('REQUESTS', 500),
};
/** How many moves have to end before the bench stops. */
const MOVES = number('MOVES', 20);
const LIMIT_MS = 1_800_000;

/** What the chart gives the operator with its default memory limit. */
function chartOptions(beside: TestServer): string {
  const options = nodeOptionsOf(render(beside, 'operator.yaml')?.at(-1));
  if (options === undefined)
    throw new Error(`There is no helm in ${beside.binaries}. Run make lab-binaries.`);
  return options;
}

// The API server refuses to serve on loopback where there is no other route.
const ADDRESS = '10.88.0.1';
const network = ['link set lo up', 'link add bench0 type bridge', `addr add ${ADDRESS}/24 dev bench0`, 'link set bench0 up']; // prettier-ignore
for (const line of network) await runHere('ip', line.split(' '));
const directory = join(out, 'operator');
rmSync(directory, { recursive: true, force: true });
mkdirSync(directory, { recursive: true });
const server = await startApiServer({ address: ADDRESS });
let child: ChildProcess | undefined;
try {
  const begun = performance.now();
  const log = (what: string): void =>
    console.error(
      `${String(Math.round((performance.now() - begun) / 1000)).padStart(5)} s  ${what}`,
    );
  await fill(server, sizes, log);
  const spans = join(directory, 'operator.spans');
  child = fork(join(measuredCheckout, 'bench/operator/operator.ts'), [], {
    env: {
      ...process.env,
      ...{ KUBECONFIG: server.kubeconfig, BENCH_SPANS: spans },
      NODE_OPTIONS: chartOptions(server),
    },
    execArgv: ['--expose-gc'],
  });
  const operator = new Peer(child, 'operator');
  await operator.ready;
  log('the operator runs');
  const started = performance.now();
  const agents = new Agents(server.client);
  const stop = new AbortController();
  const requests = new Informer({ api: server.client, resource: migrationRequests, log: silent });
  requests.listen((_key, request) => request && void agents.advance(request));
  void requests.run(stop.signal);
  const samples: Sample[] = [];
  const ended = (): MigrationRequest[] => requests.list().filter(isFinished);
  while (ended().length < Math.min(MOVES, sizes.requests)) {
    if (performance.now() - started > LIMIT_MS)
      throw new Error('The moves do not end within half an hour.');
    await sleep(2000);
    samples.push(await operator.call<Sample>('sample'));
    if (samples.length % 10 === 0) log(`${ended().length} moves have ended`);
  }
  const last = await operator.call<Sample & { seconds: number[] }>('sample', { all: true });
  stop.abort();
  writeFileSync(join(out, 'operator.json'), JSON.stringify(figures(last, samples, spans, ended())));
  log(`${ended().length} moves have ended; ${last.seconds.length} runs of reconcilers`);
} finally {
  child?.kill('SIGKILL');
  await server.stop();
}
process.exit(0);

function figures(
  last: Sample & { seconds: number[] },
  samples: readonly Sample[],
  spans: string,
  ended: readonly MigrationRequest[],
): Figure[] {
  const what = `${sizes.nodes} nodes, ${sizes.pods} foreign pods, ${sizes.requests} queued requests`;
  const lines = readFileSync(spans, 'utf8').split('\n').filter(Boolean);
  const requests = lines.map((line) => JSON.parse(line) as Span);
  const names = requests.map(({ name }) => name);
  const answered = requests.map(({ from, to }) => to - from);
  const perMove = ended.map(({ metadata: { name } }) => {
    const own = new RegExp(`/(target-of-)?${name}(-[0-9a-f]+)?(/|$| )`);
    return names.filter((one) => own.test(one)).length;
  });
  return [
    figureOf({
      name: `operator's heap: ${what}`,
      unit: 'MiB',
      runs: [Math.max(...samples.map((one) => one.heapMiB), last.heapMiB)],
      goal: { of: 'value', atMost: 256 },
      note: 'The largest of all samples, after a garbage collection.',
    }),
    figureOf({
      name: "operator's resident memory",
      unit: 'MiB',
      runs: [Math.max(...samples.map((one) => one.residentMiB), last.residentMiB)],
      goal: { of: 'value', atMost: 256 },
      note: 'With the options and the heap that the chart gives it, at its limit of 384 MiB.',
    }),
    figureOf({
      name: `p99 of a reconcile of ${last.seconds.length}`,
      unit: 'ms',
      runs: [percentile(last.seconds, 0.99) * 1000],
      floorRuns: [percentile(answered, 0.99)],
      goal: { of: 'value', atMost: 50 },
      note: 'Floor: one request of the operator to the API server in the same run, for whose answers a reconcile waits in turn.',
    }),
    figureOf({
      name: 'median of a reconcile',
      unit: 'ms',
      runs: [percentile(last.seconds, 0.5) * 1000],
      floorRuns: [percentile(answered, 0.5)],
    }),
    figureOf({
      name: "operator's processor time per reconcile",
      unit: 'ms',
      runs: [last.cpuMs / last.seconds.length],
      note: 'With its start and its watches. The rest of a reconcile is waiting for the API server, and for a processor.',
    }),
    figureOf({
      name: "operator's API requests per move",
      unit: '',
      runs: perMove,
      note: 'Those that name the request or a pod of its: events and lists are not among them.',
    }),
    figureOf({
      name: 'all API requests of the operator, per ended move',
      unit: '',
      runs: [names.length / ended.length],
    }),
  ];
}
