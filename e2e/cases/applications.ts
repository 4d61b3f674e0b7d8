// SPDX-License-Identifier: Apache-2.0
// Applications as users have them, unmodified: one end moves in mid-run, and both end as if nothing had been.
import { expect, type Case, type CaseContext } from '../src/case.ts';
import type { Application } from '../src/applications/application.ts';
import { ApplicationPair, outcome } from '../src/applications/pair.ts';
import { perftests } from '../src/applications/perftest.ts';
import { pingpongs } from '../src/applications/pingpong.ts';
import { ucx } from '../src/applications/ucx.ts';
import type { Endpoint } from '../src/pair.ts';
import { sleepSeconds } from '../src/wait.ts';

async function run(
  context: CaseContext,
  application: Application,
  endpoint: Endpoint,
): Promise<void> {
  const pair = new ApplicationPair(context, application);
  await pair.start();
  await sleepSeconds(5);
  await pair.move(endpoint);
  context.log(`  ${outcome(await pair.waitForResult(endpoint))}`);
  const moved = context.results.moves.at(-1)?.objects.qp ?? 0;
  expect(moved >= application.queuePairs, `only ${moved} queue pairs were moved`);
}

const applications = [...perftests, ...pingpongs, ...ucx];

export const cases: readonly Case[] = applications.flatMap((application) =>
  (['client', 'server'] as const).map((endpoint) => ({
    name: `application-${application.name}-${endpoint}`,
    promise: `\`${application.title}\` survives a move of its ${endpoint}: both ends exit with 0, and find their work right.`,
    ...(application.inApplicationsImage && { needs: ['images', 'shell'] as const }),
    run: (context: CaseContext) => run(context, application, endpoint),
  })),
);
