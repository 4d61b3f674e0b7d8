// SPDX-License-Identifier: Apache-2.0
// Applications as users have them, unmodified: one end moves in mid-run, and both end as if nothing had been.
import { expect, type Case, type CaseContext } from '../src/case.ts';
import type { Application } from '../src/applications/application.ts';
import { ApplicationPair, outcome } from '../src/applications/pair.ts';
import { forking } from '../src/applications/forking.ts';
import { manyObjects } from '../src/applications/many-objects.ts';
import { mpi } from '../src/applications/mpi.ts';
import { perftests } from '../src/applications/perftest.ts';
import { pingpongs } from '../src/applications/pingpong.ts';
import { reconnecting } from '../src/applications/reconnecting.ts';
import { ucx } from '../src/applications/ucx.ts';

type Moved = 'client' | 'server' | 'both';

async function run(context: CaseContext, application: Application, moved: Moved): Promise<void> {
  const pair = new ApplicationPair(context, application);
  try {
    await runPair(context, application, pair, moved);
  } catch (error) {
    pair.reportUnfinished(moved);
    throw error;
  }
}

async function runPair(
  context: CaseContext,
  application: Application,
  pair: ApplicationPair,
  moved: Moved,
): Promise<void> {
  await pair.start();
  for (const endpoint of moved === 'both' ? (['client', 'server'] as const) : [moved])
    for (let time = 0; time < (application.times ?? 1); time += 1) {
      await pair.move(endpoint);
      const count = context.results.moves.at(-1)?.objects.qp ?? 0;
      expect(count >= application.queuePairs, `only ${count} queue pairs were moved`);
      await pair.waitForWorkAfterMove(endpoint);
    }
  context.log(`  ${outcome(await pair.waitForResult(moved))}`);
}

const WHAT = { client: 'of its client', server: 'of its server', both: 'of both its ends' };

const moves = ({ times = 1 }: Application): string => (times === 1 ? 'a move' : `${times} moves`);

const applications = [
  ...perftests,
  ...pingpongs,
  ...forking,
  ...reconnecting,
  ...manyObjects,
  ...ucx,
  ...mpi,
];

export const cases: readonly Case[] = applications.flatMap((application) =>
  (application.moves ?? (['client', 'server'] as const)).map((moved) => ({
    name: `application-${application.name}-${moved}`,
    promise: `\`${application.title}\` survives ${moves(application)} ${WHAT[moved]}: both ends exit with 0, and find their work right.`,
    ...(application.inApplicationsImage && { needs: ['images', 'shell'] as const }),
    run: (context: CaseContext) => run(context, application, moved),
  })),
);
