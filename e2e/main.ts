// SPDX-License-Identifier: Apache-2.0
// `make e2e`: runs the cases on the running cluster, which is the lab unless PROVIDER or KUBECONFIG says otherwise. CASE
// selects by name. --faults (`make faults`): the fault matrix. --test: the part of both that `make test` runs. --install
// (`make kind-up`): only installs Sealift, as each run does first.
import { parseArgs } from 'node:util';
import { labels } from '../crds/src/index.ts';
import { cells, Matrix, type Cell } from './faults/matrix.ts';
import type { Case } from './src/case.ts';
import { readyNodes, versions } from './src/cluster.ts';
import { pickByName, unknownNames } from './src/names.ts';
import { provider } from './src/provider/choice.ts';
import { applicationTable, Results, writeReport } from './src/report.ts';
import { allCases, caseResult, prepareCases, runCases } from './src/runner.ts';
import { installSealift } from './src/sealift.ts';

const log = (line: string): void => console.log(line);

const OPTIONS = ['list', 'install', 'test', 'faults'] as const;
type Options = Partial<Record<(typeof OPTIONS)[number], boolean>>;

/** @throws TypeError names an option that there is not: a run of all cases lasts for hours. */
function givenOptions(): Options {
  const options = Object.fromEntries(OPTIONS.map((name) => [name, { type: 'boolean' as const }]));
  return parseArgs({ options, strict: true }).values;
}

/** The cases and the cells of the fault matrix from which CASE selects. */
async function availableCases(
  given: Options,
): Promise<{ plain: readonly Case[]; faults: readonly Cell[] }> {
  const isNamed = (process.env['CASE'] ?? '').trim() !== '';
  const part = <T extends Pick<Case, 'inTest' | 'onlyByName'>>(all: readonly T[]): readonly T[] =>
    all.filter((c) => (isNamed || !c.onlyByName) && (c.inTest || !given.test));
  return {
    plain: given.faults ? [] : part(await allCases()),
    faults: given.faults || given.test ? part(cells) : [],
  };
}

/** Under build: `e2e`, or `e2e-kind`. */
const directory = (): string => (provider.name === 'lab' ? 'e2e' : `e2e-${provider.name}`);

async function main(given: Options): Promise<number> {
  if (given.list) {
    for (const c of given.faults ? cells : await allCases())
      log(`${c.name.padEnd(44)} ${c.inTest ? 'test' : '    '} ${c.promise}`);
    return 0;
  }
  const names = process.env['CASE'] ?? '';
  const { plain, faults } = await availableCases(given);
  const unknown = unknownNames([...plain, ...faults], names);
  if (unknown.length > 0) {
    console.error(`CASE: no case is called ${unknown.join(', ')}. --list shows the names.`);
    return 2;
  }
  const matrix = new Matrix();
  const cases = [...pickByName(plain, names), ...matrix.cases(pickByName(faults, names))];
  const [first, second] = await readyNodes();
  if (first === undefined || second === undefined) {
    console.error(
      provider.chartValues
        ? 'Two nodes for pods have to be Ready. Run make lab-up or make kind-up.'
        : `Two nodes for pods have to be Ready and have the label ${labels.driverAbi}, which Sealift's agents set.`,
    );
    return 2;
  }
  await prepareCases(cases, [first, second]);
  await installSealift(log);
  if (given.install) return 0;
  const results = new Results();
  const report = `build/${given.faults ? 'faults' : directory()}/report.json`;
  const found = await versions();
  const outcomes = await runCases(cases, { nodes: [first, second], results, log }, async (so) => {
    if (!given.faults) await writeReport(report, results.report(found, so.map(caseResult)));
  });
  if (matrix.hasResults) log(`\n${matrix.table()}`);
  if (results.applications.length > 0) log(`\n${applicationTable(results.applications)}`);
  const ended = outcomes.map(caseResult);
  const count = (status: string): number => ended.filter((one) => one.status === status).length;
  log('');
  for (const one of ended)
    if (one.status !== 'passed') log(`${one.status.toUpperCase()} ${one.name}: ${one.reason}`);
  log(`report: ${report}`);
  const skipped = count('skipped') > 0 ? `, ${count('skipped')} skipped` : '';
  log(`${count('passed')} passed, ${count('failed')} failed${skipped}`);
  return count('failed') === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(givenOptions());
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException;
  if (!code?.startsWith('ERR_PARSE_ARGS')) throw error;
  console.error(`${message}. There are ${OPTIONS.map((one) => `--${one}`).join(', ')}.`);
  process.exitCode = 2;
}
