// SPDX-License-Identifier: Apache-2.0
// Runs cases one after another, each in its own namespace.
import { readdir } from 'node:fs/promises';
import { artefactsDir, type Case, type CaseContext } from './case.ts';
import { collectArtefacts } from './artefacts.ts';
import { kubectl } from './cluster.ts';
import { top } from './command.ts';
import { provider } from './provider/choice.ts';
import { skipReason } from './provider/provider.ts';
import type { CaseResult, Results } from './report.ts';
import { isInstalled } from './sealift.ts';

export interface Outcome {
  readonly name: string;
  readonly error: unknown;
  /** Why the case did not run. */
  readonly skipped?: string;
  readonly seconds: number;
}

/** An outcome as the report has it. */
export function caseResult({ name, error, skipped }: Outcome): CaseResult {
  if (skipped !== undefined) return { name, status: 'skipped', reason: skipped };
  if (error === undefined) return { name, status: 'passed', reason: '' };
  const message = error instanceof Error ? error.message : 'something was thrown';
  return { name, status: 'failed', reason: message.split('\n')[0] ?? '' };
}

/** All cases, ordered by the names of their files. */
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

/** Lets the cases look at a cluster without Sealift, if it is one, and those that will not be skipped. */
export async function prepareCases(
  cases: readonly Case[],
  nodes: CaseContext['nodes'],
): Promise<void> {
  if (!provider.abilities.has('chart') || (await isInstalled())) return;
  for (const one of cases)
    if (skipReason(provider, one.needs) === undefined) await one.beforeInstall?.(nodes);
}

async function withNamespace(name: string, work: () => Promise<void>): Promise<void> {
  await kubectl('create', 'namespace', name);
  try {
    await work();
  } finally {
    // Requests first: their finalizers stay until the agents of the pods' nodes have cleaned up.
    for (const kinds of ['mreq,rreq,creq', 'pods']) {
      const how = ['--all', '--timeout=60s', '--grace-period=1'];
      await kubectl('-n', name, 'delete', kinds, ...how).catch(() => '');
    }
    await kubectl('delete', 'namespace', name, '--wait=false').catch(() => '');
  }
}

/** Lets a rejection that no code awaits fail the current case instead of the whole run. */
class UnhandledRejections implements Disposable {
  first: unknown;
  readonly #onRejection: (cause: unknown) => void;
  readonly #rejected: Promise<never>;
  constructor() {
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => undefined);
    this.#rejected = promise;
    this.#onRejection = (cause) => {
      this.first ??= cause;
      reject(cause);
    };
    process.on('unhandledRejection', this.#onRejection);
  }
  during(work: Promise<void>): Promise<void> {
    return Promise.race([work, this.#rejected]);
  }
  [Symbol.dispose](): void {
    process.off('unhandledRejection', this.#onRejection);
  }
}

export async function runCase(
  one: Case,
  shared: Pick<CaseContext, 'nodes' | 'results' | 'log'>,
): Promise<Outcome> {
  const started = Date.now();
  const namespace =
    `e2e-${one.name}`.slice(0, 50).replace(/-$/, '') + `-${started.toString(36).slice(-5)}`;
  let error: unknown;
  using rejections = new UnhandledRejections();
  shared.log(`\n== ${one.name}: ${one.promise}`);
  try {
    await withNamespace(namespace, async () => {
      try {
        await rejections.during(one.run({ ...shared, namespace }));
      } catch (cause) {
        error = cause;
        const dir = artefactsDir(one.name);
        shared.log(`  failed: ${cause instanceof Error ? cause.message : String(cause)}`);
        shared.log(`  collecting artefacts in ${dir}`);
        await collectArtefacts(dir, [namespace]);
      }
    });
  } catch (cause) {
    error ??= cause;
  }
  error ??= rejections.first;
  const seconds = (Date.now() - started) / 1000;
  shared.log(`${error === undefined ? 'ok' : 'FAILED'} ${one.name} (${seconds.toFixed(0)} s)`);
  return { name: one.name, error, seconds };
}

/** @param ended is called after each case with the outcomes so far: a run may die */
export async function runCases(
  cases: readonly Case[],
  shared: { nodes: readonly [string, string]; results: Results; log: (line: string) => void },
  ended: (outcomes: readonly Outcome[]) => Promise<void>,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const one of cases) {
    const skipped = skipReason(provider, one.needs);
    if (skipped === undefined) outcomes.push(await runCase(one, shared));
    else {
      shared.log(`\n== ${one.name}: skipped: ${skipped}`);
      outcomes.push({ name: one.name, error: undefined, skipped, seconds: 0 });
    }
    await ended(outcomes);
  }
  return outcomes;
}
