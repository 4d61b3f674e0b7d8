// SPDX-License-Identifier: Apache-2.0
// The part `scale`, on the lab: plain pods of one node move to the other, several of them asked for at once, in turn with a
// lone one. The pauses are the requests' own reports. Needs a lab that is up (`make lab-up`).
// usage: scale.ts OUT; RUNS, SCALE=1,3,11
import { mkdir, writeFile } from 'node:fs/promises';
import type { MigrationRequest } from '../../crds/src/index.ts';
import { kubectl } from '../../e2e/src/cluster.ts';
import { requestMove } from '../../e2e/src/move.ts';
import { startPod } from '../../e2e/src/pods.ts';
import { migration, succeededCondition, waitUntilEnded } from '../../e2e/src/requests.ts';
import { installSealift } from '../../e2e/src/sealift.ts';
import { sleepSeconds } from '../../e2e/src/wait.ts';
import { scaleFigures, type Pause, type Round } from '../src/scale.ts';
import { memory, twoNodes } from './pods.ts';

const [out = ''] = process.argv.slice(2);
const RUNS = Number(process.env['RUNS'] || 3);
/** A lone move is what the others stand beside. */
const SIZES = [...new Set([1, ...(process.env['SCALE'] || '1,3,11').split(',').map(Number)])];
const NAMESPACE = 'sealift-bench-scale';
const SETTLE_S = 10;
/** Of one that waits for no other. */
const MOVE_S = 300;

const log = (line: string): void => console.error(line);
const [first, second] = await twoNodes();
let last = 0;

async function round(asked: number): Promise<Round> {
  const names = Array.from({ length: asked }, () => `scale-${++last}`);
  const start = async (name: string): Promise<unknown> =>
    startPod({ namespace: NAMESPACE, name, node: first, command: memory(1) });
  await Promise.all(names.map(start));
  await sleepSeconds(SETTLE_S);
  const begun = performance.now();
  const requests = await Promise.all(
    names.map((pod) => requestMove({ namespace: NAMESPACE, pod, to: second })),
  );
  const ended = await Promise.all(
    requests.map((name) =>
      waitUntilEnded(migration, { namespace: NAMESPACE, name, within: MOVE_S * asked }, log),
    ),
  );
  const seconds = (performance.now() - begun) / 1000;
  const pauses = ended.flatMap((request) => pauseOf(request) ?? []);
  log(`${asked} at once: ${pauses.map(({ from, to }) => Math.round(to - from)).join(', ')} ms, ${Math.round(seconds)} s until the last had ended`); // prettier-ignore
  await kubectl('-n', NAMESPACE, 'delete', 'migrationrequests,pods', '--all', '--wait', '--grace-period=1'); // prettier-ignore
  return { asked, pauses, seconds };
}

/** Undefined for a move that has not succeeded. The end is the target's, by its node's clock; the length is the report's. */
function pauseOf(request: MigrationRequest): Pause | undefined {
  const end = succeededCondition(request);
  const { report, targetAgent } = request.status ?? {};
  const resumed = targetAgent?.steps?.find(({ name }) => name === 'resume')?.endTime;
  if (end?.status === 'True' && report?.blackoutMs !== undefined && resumed !== undefined) {
    const to = Date.parse(resumed);
    return { from: to - report.blackoutMs, to };
  }
  log(`${request.metadata.name}: ${end?.reason ?? 'no condition'}: ${end?.message ?? 'its report lacks a time'}`); // prettier-ignore
  return undefined;
}

await installSealift(log);
await kubectl('create', 'namespace', NAMESPACE);
try {
  const rounds: Round[] = [];
  // The first of all translates the emulator's code, and does not count.
  await round(1);
  for (let run = 0; run < RUNS; run++) for (const size of SIZES) rounds.push(await round(size));
  await mkdir(out, { recursive: true });
  await writeFile(`${out}/scale.json`, JSON.stringify(scaleFigures(rounds)));
} finally {
  await kubectl('delete', 'namespace', NAMESPACE, '--wait');
}
