// SPDX-License-Identifier: Apache-2.0
// The part `blackout`, on the lab: a plain pod, pods with 1 and more queue pairs, and runc and CRIU alone, in turn. The
// figures are the requests' own reports. Needs a lab that is up (`make lab-up`).
// usage: main.ts OUT; RUNS, QPS=1,16,64,1024, MIB=64
import { mkdir, writeFile } from 'node:fs/promises';
import { kubectl } from '../../e2e/src/cluster.ts';
import type { CaseContext } from '../../e2e/src/case.ts';
import { manyPairs } from '../../e2e/src/applications/many-objects.ts';
import { ApplicationPair } from '../../e2e/src/applications/pair.ts';
import { move } from '../../e2e/src/move.ts';
import { startPod } from '../../e2e/src/pods.ts';
import { Results, type Move } from '../../e2e/src/report.ts';
import { installSealift } from '../../e2e/src/sealift.ts';
import { sleepSeconds } from '../../e2e/src/wait.ts';
import { figureOf, type Figure } from '../src/figure.ts';
import { floorMs, tcpMs } from './floor.ts';
import { memory, twoNodes } from './pods.ts';

const [out = ''] = process.argv.slice(2);
const RUNS = Number(process.env['RUNS'] || 3);
const QPS = (process.env['QPS'] || '1,16,64,1024').split(',').map(Number);
const MIB = Number(process.env['MIB'] || 64);
const NAMESPACE = 'sealift-bench';
/** Until a pod has written its memory, on an emulated node. */
const SETTLE_S = 10;
/** Longer than a move takes: the pods are removed when it has ended. */
const TRAFFIC_S = 3600;
const goals: Record<number, number> = { 1: 1.1, 64: 1.15, 1024: 1.5 };
/** Of the figure of the hold: many queue pairs, and few. */
const HOLD_QPS = { many: 1024, few: 16 } as const;

const log = (line: string): void => console.error(line);
const [first, second] = await twoNodes();
const context: CaseContext = {
  ...{ namespace: NAMESPACE, nodes: [first, second], results: new Results(), log },
};
let last = 0;

async function makePod(mib: number): Promise<string> {
  const name = `plain-${mib}-${++last}`;
  await startPod({ namespace: NAMESPACE, name, node: first, command: memory(mib) });
  await sleepSeconds(SETTLE_S);
  return name;
}

async function movePlain(name: string): Promise<Move> {
  const { entry, pod } = await move(
    { namespace: NAMESPACE, pod: name, to: second, workload: 'plain' },
    log,
  );
  await remove(pod);
  return entry;
}

/** The queue pairs take turns at a low rate: what is measured is what they cost, not what their traffic takes of the nodes. */
async function moveWithVerbs(qps: number): Promise<Move> {
  const pair = new ApplicationPair(context, manyPairs(qps, TRAFFIC_S));
  await pair.start();
  await sleepSeconds(SETTLE_S);
  await pair.move('server');
  await remove(pair.pods.client, pair.pods.server);
  const entry = context.results.moves.at(-1);
  if (!entry) throw new Error('The move has left no entry.');
  return entry;
}

const remove = (...pods: string[]): Promise<string> =>
  kubectl('-n', NAMESPACE, 'delete', 'pod', ...pods, '--ignore-not-found', '--wait', '--grace-period=1'); // prettier-ignore

const stepMs = ({ steps }: Move, name: string): number =>
  Number((steps as Record<string, number | undefined>)[`${name}Ms`] ?? 0);

async function measure(): Promise<Figure[]> {
  const plain: Move[] = [];
  const large: Move[] = [];
  const floors: number[] = [];
  const streams: number[] = [];
  const verbs = new Map<number, Move[]>(QPS.map((qps) => [qps, []]));
  // The first of each translates the emulator's code, and does not count.
  for (let run = 0; run <= RUNS; run++) {
    const one = await makePod(1);
    const floor = await floorMs(first, one, SETTLE_S);
    const moved = await movePlain(one);
    const link = await tcpMs(first, second, moved.bytes.pages);
    const stream = await tcpMs(first, second, MIB << 20);
    const big = await movePlain(await makePod(MIB));
    log(`run ${run}: plain ${moved.blackoutMs} ms (runc alone ${Math.round(floor)}, bytes / link ${Math.round(link)}), ${MIB} MiB ${big.blackoutMs} ms, its transfer ${stepMs(big, 'transfer')} (TCP ${Math.round(stream)})`); // prettier-ignore
    const withVerbs: [number, Move][] = [];
    for (const qps of QPS) {
      const entry = await moveWithVerbs(qps).catch((error: unknown) => {
        log(`run ${run}: ${qps} queue pairs were not moved: ${String(error)}`);
      });
      // The other figures are worth having without it.
      if (!entry) continue;
      log(`run ${run}: ${qps} queue pairs ${entry.blackoutMs} ms`);
      withVerbs.push([qps, entry]);
    }
    if (run === 0) continue;
    plain.push(moved);
    large.push(big);
    floors.push(floor + link);
    streams.push(stream);
    for (const [qps, entry] of withVerbs) verbs.get(qps)?.push(entry);
  }
  const blackouts = plain.map((one) => one.blackoutMs);
  return [
    figureOf({
      name: 'blackout of a plain pod / (runc checkpoint + restore + bytes / link)',
      unit: 'ms',
      runs: blackouts,
      floorRuns: floors,
      goal: { of: 'ratio', atMost: 1.3 },
    }),
    ...[...verbs]
      .filter(([, moves]) => moves.length > 0)
      .map(([qps, moves]) =>
        figureOf({
          name: `blackout with ${qps} queue pairs / same pod without verbs`,
          unit: 'ms',
          runs: moves.map((one) => one.blackoutMs),
          floorRuns: blackouts,
          ...(goals[qps] !== undefined && { goal: { of: 'ratio', atMost: goals[qps] } }),
        }),
      ),
    ...holdFigures(verbs),
    figureOf({
      name: `transfer of ${MIB} MiB`,
      unit: 'ms',
      runs: large.map((one) => stepMs(one, 'transfer')),
      floorRuns: streams,
      goal: { of: 'ratio', atMost: 1.5 },
    }),
    figureOf({
      name: "decision's share of the blackout",
      unit: '%',
      runs: plain.map((one) => (100 * stepMs(one, 'decide')) / one.blackoutMs),
      goal: { of: 'value', atMost: 5 },
    }),
    ...['hold', 'freeze', 'dump', 'transfer', 'restore', 'decide', 'resume'].map((name) =>
      figureOf({ name: `step ${name}`, unit: 'ms', runs: plain.map((one) => stepMs(one, name)) }),
    ),
  ];
}

/** What a queue pair adds to the hold, of many and of few. @returns none without moves of both */
function holdFigures(verbs: ReadonlyMap<number, readonly Move[]>): Figure[] {
  const perQueuePair = (qps: number): number[] =>
    (verbs.get(qps) ?? []).map((one) => stepMs(one, 'hold') / qps);
  const [runs, floorRuns] = [perQueuePair(HOLD_QPS.many), perQueuePair(HOLD_QPS.few)];
  if (runs.length === 0 || floorRuns.length === 0) return [];
  return [
    figureOf({
      name: `hold per queue pair, ${HOLD_QPS.many} / ${HOLD_QPS.few} queue pairs`,
      unit: 'ms',
      ...{ runs, floorRuns },
      goal: { of: 'ratio', atMost: 1.5 },
      note: 'The step `hold` from its beginning, the lock of the network, until the last queue pair is settled.',
    }),
  ];
}

await installSealift(log);
await kubectl('create', 'namespace', NAMESPACE);
try {
  const figures = await measure();
  await mkdir(out, { recursive: true });
  await writeFile(`${out}/blackout.json`, JSON.stringify(figures));
} finally {
  await kubectl('delete', 'namespace', NAMESPACE, '--wait');
}
