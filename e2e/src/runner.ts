// SPDX-License-Identifier: Apache-2.0
// Runs cases one after the other, each in a namespace of its own.
import { readdir } from 'node:fs/promises';
import { artefactsDir, type Case, type Context } from './case.ts';
import { collect } from './artefacts.ts';
import { kubectl, top } from './lab.ts';
import type { Facts } from './report.ts';

export interface Outcome {
  readonly name: string;
  readonly error: unknown;
  readonly seconds: number;
}

/** All cases, in the order of their files' names. */
export async function allCases(): Promise<Case[]> {
  const dir = `${top}/e2e/cases`;
  const files = (await readdir(dir)).filter((f) => f.endsWith('.ts')).sort();
  const cases: Case[] = [];
  for (const file of files) {
    const module = (await import(`${dir}/${file}`)) as { cases: readonly Case[] };
    cases.push(...module.cases);
  }
  return cases;
}

async function withNamespace(name: string, work: () => Promise<void>): Promise<void> {
  await kubectl('create', 'namespace', name);
  try {
    await work();
  } finally {
    // Requests go first: their finalizers want the pods' nodes to answer.
    for (const kinds of ['mreq,rreq,creq', 'pods']) {
      const how = ['--all', '--timeout=60s', '--grace-period=1'];
      await kubectl('-n', name, 'delete', kinds, ...how).catch(() => '');
    }
    await kubectl('delete', 'namespace', name, '--wait=false').catch(() => '');
  }
}

/** What fails without anybody waiting for it fails the case that is at hand, and not the whole run. */
class Strays implements Disposable {
  first: unknown;
  readonly #take: (cause: unknown) => void;
  readonly #came: Promise<never>;
  constructor() {
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => undefined);
    this.#came = promise;
    this.#take = (cause) => {
      this.first ??= cause;
      reject(cause);
    };
    process.on('unhandledRejection', this.#take);
  }
  during(work: Promise<void>): Promise<void> {
    return Promise.race([work, this.#came]);
  }
  [Symbol.dispose](): void {
    process.off('unhandledRejection', this.#take);
  }
}

export async function runCase(
  c: Case,
  rest: Pick<Context, 'nodes' | 'facts' | 'tell'>,
): Promise<Outcome> {
  const started = Date.now();
  const namespace =
    `e2e-${c.name}`.slice(0, 50).replace(/-$/, '') + `-${started.toString(36).slice(-5)}`;
  let error: unknown;
  using strays = new Strays();
  rest.tell(`\n== ${c.name}: ${c.promise}`);
  try {
    await withNamespace(namespace, async () => {
      try {
        await strays.during(c.run({ ...rest, namespace }));
      } catch (cause) {
        error = cause;
        const dir = artefactsDir(c.name);
        rest.tell(`  failed: ${cause instanceof Error ? cause.message : String(cause)}`);
        rest.tell(`  collecting artefacts in ${dir}`);
        await collect(dir, [namespace]);
      }
    });
  } catch (cause) {
    error ??= cause;
  }
  error ??= strays.first;
  const seconds = (Date.now() - started) / 1000;
  rest.tell(`${error === undefined ? 'ok' : 'FAILED'} ${c.name} (${seconds.toFixed(0)} s)`);
  return { name: c.name, error, seconds };
}

export async function runCases(
  cases: readonly Case[],
  rest: { nodes: readonly [string, string]; facts: Facts; tell: (line: string) => void },
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const c of cases) outcomes.push(await runCase(c, rest));
  return outcomes;
}
