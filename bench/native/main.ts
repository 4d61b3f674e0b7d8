// SPDX-License-Identifier: Apache-2.0
// The native part, in the builder and in a network namespace of its own: the blackout of a plain pod on this machine's own
// kernel, beside runc's checkpoint and restore of the same container, and the transfer of the same bytes.
// usage: main.ts CHECKOUT LAB OUT
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Span } from '../src/api-log.ts';
import { figureOf, median, type Figure } from '../src/figure.ts';
import { draw } from '../src/timeline.ts';
import { lengthOf, Moves, type Move } from './moves.ts';
import { ADDRESSES, NativeCluster } from './nodes.ts';

const [checkout = '', lab = '', out = ''] = process.argv.slice(2);
const RUNS = Number(process.env['RUNS'] ?? 5);
const MEMORY_MIB = Number(process.env['MIB'] ?? 64);
const directory = join(out, 'native');

/** The programs that the agent's image installs in /opt/sealift. */
function makeBundle(): string {
  const bundle = join(out, 'opt-sealift');
  rmSync(bundle, { recursive: true, force: true });
  mkdirSync(join(bundle, 'bin'), { recursive: true });
  mkdirSync(join(bundle, 'lib/criu'), { recursive: true });
  mkdirSync(join(bundle, 'etc'));
  const shim = join(checkout, 'build/native/sealift-shim');
  for (const name of ['sealift-runc', 'sealift', 'sealift-host', 'sealift-guard']) {
    copyFileSync(shim, join(bundle, 'bin', name));
  }
  copyFileSync(realpathSync(join(lab, 'bin/runc')), join(bundle, 'bin/runc'));
  symlinkSync('/usr/sbin/criu', join(bundle, 'bin/criu'));
  const plugin = join(checkout, 'native/criu-plugin');
  copyFileSync(join(plugin, 'build/ibverbs_plugin.so'), join(bundle, 'lib/criu/ibverbs_plugin.so'));
  copyFileSync(join(plugin, 'criu.conf'), join(bundle, 'etc/criu.conf'));
  return bundle;
}

function makeImage(): string {
  const image = join(out, 'image');
  for (const dir of ['bin', 'proc', 'dev', 'sys']) mkdirSync(join(image, dir), { recursive: true });
  const source = join(import.meta.dirname, 'workload.c');
  execFileSync('cc', ['-O2', '-Wall', '-Wextra', '-Werror', '-static', '-o', join(image, 'bin/workload'), source]); // prettier-ignore
  return image;
}

/** The steps that both agents have timed. */
const agentSteps = ({ request: { status } }: Move): Span[] =>
  [status?.sourceAgent, status?.targetAgent].flatMap((agent) =>
    (agent?.steps ?? []).flatMap(({ name, startTime, endTime }) =>
      endTime === undefined
        ? []
        : [{ lane: 'steps', name, from: micro(startTime), to: micro(endTime) }],
    ),
  );

/** Milliseconds of each step, by name; `transfer` is timed by both agents, and the source's is longer. */
const stepsOf = (move: Move): ReadonlyMap<string, number> =>
  new Map(
    agentSteps(move)
      .toSorted((one, other) => one.to - one.from - (other.to - other.from))
      .map(({ name, from, to }) => [name, to - from]),
  );

function readSpans(files: readonly string[]): Span[] {
  return files.flatMap((file) => {
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch {
      return [];
    }
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Span);
  });
}

/** Of the nodes `a` and `b`. */
const processorMs = ({ nodes: { a, b } }: NativeCluster): Promise<number[]> =>
  Promise.all([a, b].map((node) => node.call<number>('processorMs')));

/** Requests to the API server of operator and agents within the move's gap. */
const requestsIn = (spans: readonly Span[], { gap }: Move): Span[] =>
  spans.filter((one) => one.from >= gap.from / 1000 && one.from <= gap.to / 1000);

/** Who has asked for what and how often, for people. */
function told(requests: readonly Span[]): string {
  const counts = new Map<string, number>();
  for (const { lane, name } of requests) {
    const [verb = '', path = '', end = ''] = name.split(' ');
    // Names of objects say nothing.
    const what = [`${lane}: ${verb}`, path.split('/').toSpliced(1, 1).join('/'), end].join(' ');
    counts.set(what.trim(), (counts.get(what.trim()) ?? 0) + 1);
  }
  return [...counts].map(([what, count]) => `${count} × ${what}`).join(', ');
}

async function measure(cluster: NativeCluster): Promise<Figure[]> {
  const { a, b } = cluster.nodes;
  const moves = new Moves(cluster);
  const bytes = MEMORY_MIB << 20;
  await a.call('makeImages', bytes);
  await b.call('listen');
  const runs = { blackout: [] as number[], floor: [] as number[], agent: [] as number[], tcp: [] as number[], requests: [] as Span[][], processor: [] as number[][], decide: [] as number[] }; // prettier-ignore
  const steps = new Map<string, number[]>();
  // The first of each warms up caches and connections, and does not count.
  for (let run = 0; run <= RUNS; run++) {
    const tcp = await a.call<number>('sendByTcp', ADDRESSES.b);
    const byAgent = await a.call<number>('sendByAgent', ADDRESSES.b);
    const alone = await moves.createPod();
    const floor = await moves.floor(alone);
    await moves.remove(alone);
    const pod = await moves.createPod();
    const before = await processorMs(cluster);
    const move = await moves.move(pod);
    const processor = (await processorMs(cluster)).map((ms, at) => ms - (before[at] ?? 0));
    await moves.remove(pod);
    const gap = lengthOf(move.gap);
    const requests = requestsIn(readSpans(cluster.spanFiles), move);
    console.error(
      `run ${run}: blackout ${Math.round(gap)} ms (runc alone ${Math.round(floor)}), transfer ${Math.round(byAgent)} ms (TCP ${Math.round(tcp)}), processor ${processor.join(' + ')} ms, ${requests.length} API requests (${told(requests)}); ` +
        [...stepsOf(move)].map(([name, ms]) => `${name} ${Math.round(ms)}`).join(', '),
    );
    if (run === 0) continue;
    runs.blackout.push(gap);
    runs.floor.push(floor + tcp);
    runs.agent.push(byAgent);
    runs.tcp.push(tcp);
    runs.requests.push(requests);
    runs.processor.push(processor);
    for (const [name, ms] of stepsOf(move)) steps.set(name, [...(steps.get(name) ?? []), ms]);
  }
  await drawOne(cluster, moves);
  const decide = steps.get('decide') ?? [];
  const blackout = median(runs.blackout);
  return [
    figureOf({
      name: `blackout of a plain pod of ${MEMORY_MIB} MiB`,
      unit: 'ms',
      runs: runs.blackout,
      floorRuns: runs.floor,
      goal: { of: 'value', atMost: 500 },
      note: 'Floor: runc checkpoint and restore of such a container on node a, and its bytes by a TCP stream.',
    }),
    figureOf({
      name: `blackout / (runc checkpoint + restore + bytes / link), ${MEMORY_MIB} MiB`,
      unit: '',
      runs: runs.blackout.map((one, at) => one / (runs.floor[at] ?? NaN)),
      goal: { of: 'value', atMost: 1.3 },
    }),
    figureOf({
      name: `transfer of ${MEMORY_MIB} MiB`,
      unit: 'ms',
      runs: runs.agent,
      floorRuns: runs.tcp,
      goal: { of: 'ratio', atMost: 1.5 },
      note: 'Floor: the same file by a TCP stream into a file, between the same namespaces.',
    }),
    figureOf({
      name: 'API requests within the blackout',
      unit: '',
      runs: runs.requests.map((all) => all.length),
      goal: { of: 'value', atMost: 12 },
    }),
    ...['operator', 'agent a', 'agent b'].map((lane) =>
      figureOf({
        name: `of these ${lane}`,
        unit: '',
        runs: runs.requests.map((all) => all.filter((one) => one.lane === lane).length),
      }),
    ),
    ...['source', 'target'].map((name, at) =>
      figureOf({
        name: `processor time of a move on the ${name}'s node`,
        unit: 'ms',
        runs: runs.processor.map((of) => of[at] ?? NaN),
        note: 'Agent, runtime, runc and CRIU, from the request to its end. It hardly depends on what else runs on the machine.',
      }),
    ),
    figureOf({
      name: "decision's share of the blackout",
      unit: '%',
      runs: decide.map((ms) => (100 * ms) / blackout),
      goal: { of: 'value', atMost: 5 },
    }),
    ...[...steps].map(([name, ms]) => figureOf({ name: `step ${name}`, unit: 'ms', runs: ms })),
  ];
}

/** One more move, watched, as a picture. */
async function drawOne(cluster: NativeCluster, moves: Moves): Promise<void> {
  const { a, b } = cluster.nodes;
  const pod = await moves.createPod();
  await Promise.all([a.call('sample'), b.call('sample')]);
  const move = await moves.move(pod);
  const sampled = (await Promise.all([a, b].map((node) => node.call<Span[]>('samples')))).flat();
  await moves.remove(pod);
  const [from, to] = [move.gap.from / 1000, move.gap.to / 1000];
  const requests = readSpans(cluster.spanFiles).map((one) => ({
    ...one,
    lane: `API: ${one.lane}`,
  }));
  const blackout: Span = { lane: 'workload', name: 'does not run', from, to };
  const spans = [blackout, ...agentSteps(move), ...requests, ...sampled];
  writeFileSync(join(out, 'move.svg'), draw(spans, from, to));
  writeFileSync(join(out, 'move.json'), JSON.stringify({ from, to, spans }));
}

/** Milliseconds since the epoch, with microseconds behind the point. */
function micro(timestamp: string): number {
  const fraction = /\.(\d+)Z$/.exec(timestamp)?.[1] ?? '0';
  return Date.parse(timestamp.replace(/\.\d+Z$/, 'Z')) + Number(`0.${fraction}`) * 1000;
}

const cluster = await NativeCluster.start({
  ...{ directory, bundle: makeBundle(), image: makeImage(), memoryMiB: MEMORY_MIB },
});
try {
  writeFileSync(join(out, 'native.json'), JSON.stringify(await measure(cluster)));
} finally {
  await cluster.stop();
}
process.exit(0);
