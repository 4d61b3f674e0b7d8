// SPDX-License-Identifier: Apache-2.0
// `make simulate`: runs N random schedules from SEED, shrinks one that fails and prints it. REPLAY runs one schedule again,
// with the logs of all processes.
import fc from 'fast-check';
import { pino } from 'pino';
import type { Logger } from '../../kube/src/index.ts';
import { mutants } from './mutants.ts';
import './product-setup.ts';
import { run } from './run.ts';
import { schedules, type Schedule } from './schedule.ts';

const env = process.env;
if (process.argv.length > 2) {
  console.error(
    'The simulation takes no arguments. Set N, SEED, MUTANT or REPLAY in the environment.',
  );
  process.exit(2);
}
const count = wholeNumber('N', 1) ?? 10_000;
const seed = wholeNumber('SEED', 0) ?? Date.now() % 2 ** 31;
const mutantName = env['MUTANT'];
const mutant = mutants.find((one) => one.name === mutantName);
if (mutantName && !mutant) {
  const names = mutants.map(({ name }) => `'${name}'`).join(', ');
  console.error(`MUTANT: no mutant is called '${mutantName}'. There are ${names}.`);
  process.exit(2);
}

/** @returns the number in this variable of the environment, undefined without one */
function wholeNumber(name: string, least: number): number | undefined {
  const text = env[name];
  if (text === undefined) return undefined;
  const number = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(number) && number >= least) return number;
  console.error(`${name}: '${text}' is no whole number from ${least}. Write digits only.`);
  process.exit(2);
}

const newLogger = (name: string): Logger =>
  pino({
    name,
    base: { name },
    level: env['LOG_LEVEL'] ?? 'debug',
    timestamp: () => `,"at":"${new Date(Date.now()).toISOString().slice(11)}"`,
    formatters: { level: (label) => ({ level: label }) },
  });

/** More than half of all schedules commit a move. */
const enoughRuns = 50;
const isAnyCommitted = (ends: ReadonlyMap<string, number>): boolean =>
  [...ends.keys()].some((end) => end.split(', ').includes('Committed Committed'));

async function simulate(): Promise<boolean> {
  // Runs throw many errors on purpose. Their stacks take time and only a replay needs them.
  Error.stackTraceLimit = 0;
  const started = process.cpuUsage();
  const ends = new Map<string, number>();
  let steps = 0;
  let runs = 0;
  const property = fc.asyncProperty(schedules, async (schedule) => {
    const outcome = await run(schedule, { mutant });
    runs++;
    steps += outcome.steps;
    ends.set(outcome.decision, (ends.get(outcome.decision) ?? 0) + 1);
  });
  const details = await fc.check(property, { numRuns: count, seed });
  const { user, system } = process.cpuUsage(started);
  const ms = (user + system) / 1000;
  for (const [end, times] of [...ends].sort((a, b) => b[1] - a[1])) {
    console.log(`  ${String(times).padStart(7)}  ${end}`);
  }
  console.log(
    `simulation: ${runs} runs, ${Math.round(steps / runs)} steps each, ${(ms / runs).toFixed(1)} ms of CPU each, SEED=${seed}`,
  );
  if (!details.failed && runs >= enoughRuns && !isAnyCommitted(ends)) {
    console.log(
      'No move was committed, so that hardly anything was tried: a part of the simulation is broken.',
    );
    console.log(`simulation: ${count - 1} passed, 1 failed`);
    return false;
  }
  if (!details.failed) {
    console.log(`simulation: ${count} passed, 0 failed`);
    return true;
  }
  console.log(details.errorInstance instanceof Error ? String(details.errorInstance) : '');
  console.log(`replay it: make simulate REPLAY='${JSON.stringify(details.counterexample?.[0])}'`);
  console.log(`simulation: ${details.numRuns - 1} passed, 1 failed`);
  return false;
}

async function replay(text: string): Promise<boolean> {
  try {
    console.log(await run(JSON.parse(text) as Schedule, { mutant, log: newLogger }));
    return true;
  } catch (error) {
    console.log(error);
    return false;
  }
}

const isGood = env['REPLAY'] ? await replay(env['REPLAY']) : await simulate();
process.exitCode = isGood ? 0 : 1;
