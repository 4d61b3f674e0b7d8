// SPDX-License-Identifier: Apache-2.0
// A pair of pods that run a random program of verbs (e2e/workloads, random-verbs): the seed says which.
import { z } from 'zod';
import type { MigrationRequest } from '../../crds/src/index.ts';
import type { CaseContext } from './case.ts';
import { Pair, type Endpoint } from './pair.ts';
import { podStatus, signalPod, waitUntilPodEnded } from './pods.ts';
import { NotReachedError, until } from './wait.ts';

/** What a side prints first. */
const Plan = z.object({
  seed: z.int(),
  side: z.enum(['client', 'server']),
  moves: z.enum(['client', 'server']),
  momentMs: z.int().min(0),
  refused: z.string(),
  family: z.string(),
});
export type Plan = z.infer<typeof Plan>;

/** What it prints in the end. */
const Verdict = z.strictObject({ seed: z.int(), operations: z.int(), wrong: z.int() });
export type Verdict = z.infer<typeof Verdict>;

/** Undefined: it is not there yet. @throws ZodError, SyntaxError for a line of another form */
export function planIn(log: string): Plan | undefined {
  const line = /^plan (\{.*\})$/m.exec(log);
  return line ? Plan.parse(JSON.parse(line[1] ?? '')) : undefined;
}

/** Undefined: it has not ended well. @throws ZodError, SyntaxError for a line of another form */
export function verdictIn(log: string): Verdict | undefined {
  const line = log.split('\n').findLast((one) => one.startsWith('{'));
  return line === undefined ? undefined : Verdict.parse(JSON.parse(line));
}

/** What has been made that cannot be moved: `nothing`, or one of `refusals`. Undefined: not said yet. */
export const refusedIn = (log: string): string | undefined => /^refused (\w+)$/m.exec(log)?.[1];

/** How a finding names what a program has made. */
export const refusals: Readonly<Record<string, RegExp>> = {
  uc: /has queue pair \d+ .* of type UC, an unreliable connection/,
  window: /has a memory window/,
  group: /has queue pair \d+ .* in a multicast group/,
  cm: /librdmacm's connections/,
  freed: /has memory region 0x[0-9a-f]+ .* over memory that it has unmapped/,
  orphan: /whose memory is registered as memory region 0x[0-9a-f]+ .* has ended/,
};

/** The first step that pauses a pod, and those after it, by the names that agents report. */
const pausing: ReadonlySet<string> = new Set(['hold', 'freeze', 'dump', 'transfer']);

/** What a request has done to its source that pauses it: nothing, where the pod was refused before the hold. */
export function touchedBy({ status }: Pick<MigrationRequest, 'status'>): string[] {
  const { sourceAgent, report, conditions = [] } = status ?? {};
  const steps = (sourceAgent?.steps ?? [])
    .map((one) => one.name)
    .filter((name) => pausing.has(name));
  const reported = Object.entries(report?.steps ?? {})
    .filter(([name, value]) => pausing.has(name.replace(/Ms$/, '')) && value !== undefined)
    .map(([name]) => name);
  const quiesced = conditions.some(
    (one) => one.type === 'Quiesced' && (one.status === 'True' || one.reason === 'Resumed'),
  );
  const paused = report?.blackoutMs === undefined ? [] : [`a pause of ${report.blackoutMs} ms`];
  return [...steps, ...reported, ...paused, ...(quiesced ? ['Quiesced'] : [])];
}

/** With freed memory under a region and a worker; a multicast group and an heir; nothing that is refused. */
const DEFAULT_SEEDS = [1, 3, 5];
const MAX_SEEDS = 1000;

/**
 * The seeds of a run: `3,17`, `1-40`, or both.
 * @param text of the variable SEEDS; undefined or empty: three of them
 * @throws Error that says what is wrong with it
 */
export function seedsIn(text: string | undefined): readonly number[] {
  if (text === undefined || text.trim() === '') return DEFAULT_SEEDS;
  const seeds = text.split(',').flatMap((part) => {
    const [, from, to = from] = /^\s*(\d{1,15})(?:-(\d{1,15}))?\s*$/.exec(part) ?? [];
    const count = Number(to) - Number(from) + 1;
    if (from === undefined || count < 1 || count > MAX_SEEDS)
      throw new Error(
        `SEEDS: "${part}" is neither a seed nor a range FROM-TO of at most ${MAX_SEEDS}.`,
      );
    return Array.from({ length: count }, (_, n) => Number(from) + n);
  });
  return [...new Set(seeds)];
}

export class RandomPair extends Pair {
  readonly #seed: number;
  #plan: Plan | undefined;

  constructor(context: CaseContext, seed: number) {
    super(context, `random-${seed}`);
    this.#seed = seed;
  }

  /** Starts both, and waits until there is traffic. */
  async start(): Promise<void> {
    const seed = String(this.#seed);
    await Promise.all([
      this.startPod('server', { command: ['random-verbs', 'server', seed] }),
      this.startPod('client', {
        command: ['random-verbs', 'client', seed, this.addresses.server],
      }),
    ]);
    for (const endpoint of ['client', 'server'] as const)
      await this.waitForLine(endpoint, 'there is traffic', /^progress [1-9]/m, 180);
    this.#plan = planIn(await this.podLog('server'));
  }

  get plan(): Plan {
    if (!this.#plan) throw new NotReachedError(`random-verbs ${this.#seed} has printed no plan`);
    return this.#plan;
  }

  /** What the side that moves has that cannot be moved. */
  async refused(): Promise<string> {
    return refusedIn(await this.podLog(this.plan.moves)) ?? 'nothing';
  }

  /** Lets the side that moves destroy it. */
  async drop(what: string): Promise<void> {
    const { moves } = this.plan;
    await signalPod(this.context.namespace, this.pods[moves], 'USR1');
    await this.waitForLine(moves, `${what} is dropped`, new RegExp(`^dropped ${what}$`, 'm'), 60);
  }

  /** Waits until it has printed such a line since it was moved. @throws NotReachedError when it has ended instead */
  async waitForLine(endpoint: Endpoint, what: string, line: RegExp, within: number): Promise<void> {
    await until(
      `random-verbs ${this.#seed}, ${endpoint}: ${what}`,
      { within, every: 2 },
      async () => {
        const log = await this.podLog(endpoint);
        if (line.test(log)) return true;
        const { exitCode } = await podStatus(this.context.namespace, this.pods[endpoint]);
        if (exitCode === undefined) return undefined;
        throw new NotReachedError(`${this.#ended(endpoint, exitCode)}\n${log.slice(-2000)}`);
      },
    );
  }

  /** Ends the run, and waits for both verdicts. @throws NotReachedError unless both have found everything right */
  async finish(within = 300): Promise<Verdict[]> {
    const { namespace } = this.context;
    await signalPod(namespace, this.pods.client, 'TERM');
    const verdicts: Verdict[] = [];
    for (const endpoint of ['client', 'server'] as const) {
      const { exitCode = -1 } = await waitUntilPodEnded(namespace, this.pods[endpoint], within);
      const log = await this.podLog(endpoint);
      const verdict = exitCode === 0 ? verdictIn(log) : undefined;
      if (verdict?.wrong !== 0 || verdict.operations === 0 || verdict.seed !== this.#seed)
        throw new NotReachedError(`${this.#ended(endpoint, exitCode)}\n${log.slice(-4000)}`);
      verdicts.push(verdict);
    }
    return verdicts;
  }

  #ended(endpoint: Endpoint, status: number): string {
    return `random-verbs ${this.#seed}: the ${endpoint} ended with ${status}. SEEDS=${this.#seed} runs it again.`;
  }
}
