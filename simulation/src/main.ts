// SPDX-License-Identifier: Apache-2.0
// make simulate: N schedules from SEED. A schedule that ends badly is shrunk and shown; REPLAY runs one again, with logs.
import fc from 'fast-check';
import { pino } from 'pino';
import type { Logger } from '../../kube/src/index.ts';
import { mistakes } from './mistakes.ts';
import './product.ts';
import { run } from './run.ts';
import { schedules, type Schedule } from './schedule.ts';

const env = process.env;
const count = Number(env['N'] ?? 10_000);
const seed = env['SEED'] === undefined ? Date.now() % 2 ** 31 : Number(env['SEED']);
const mistake = mistakes.find((one) => one.name === env['MISTAKE']);

const logTo = (name: string): Logger =>
  pino({
    name,
    base: { name },
    level: env['LOG_LEVEL'] ?? 'debug',
    timestamp: () => `,"at":"${new Date(Date.now()).toISOString().slice(11)}"`,
    formatters: { level: (label) => ({ level: label }) },
  });

async function simulate(): Promise<boolean> {
  // A replay tells where; here a stack for each of many expected errors only takes time.
  Error.stackTraceLimit = 0;
  const started = process.cpuUsage();
  const ends = new Map<string, number>();
  let steps = 0;
  let runs = 0;
  const property = fc.asyncProperty(schedules, async (schedule) => {
    const outcome = await run(schedule, { mistake });
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
    console.log(await run(JSON.parse(text) as Schedule, { mistake, log: logTo }));
    return true;
  } catch (error) {
    console.log(error);
    return false;
  }
}

const good = env['REPLAY'] ? await replay(env['REPLAY']) : await simulate();
process.exitCode = good ? 0 : 1;
