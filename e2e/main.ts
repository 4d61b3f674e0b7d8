// SPDX-License-Identifier: Apache-2.0
// `make e2e`: runs the cases on the running cluster, which is the lab unless PROVIDER or KUBECONFIG says otherwise. CASE
// selects by name. --faults (`make faults`): the fault matrix. --test: the part of both that `make test` runs. --install
// (`make kind-up`): only installs Sealift, as each run does first.
import { cells, Matrix, type Cell } from './faults/matrix.ts';
import type { Case } from './src/case.ts';
import { readyNodes, versions } from './src/cluster.ts';
import { pickByName, unknownNames } from './src/names.ts';
import { provider } from './src/provider/choice.ts';
import { applicationTable, Results, writeReport } from './src/report.ts';
import { allCases, caseResult, prepareCases, runCases } from './src/runner.ts';
import { installSealift } from './src/sealift.ts';

const log = (line: string): void => console.log(line);

const has = (option: string): boolean => process.argv.includes(option);

/** The cases and the cells of the fault matrix from which CASE selects. */
async function availableCases(): Promise<{ plain: readonly Case[]; faults: readonly Cell[] }> {
  const isNamed = (process.env['CASE'] ?? '').trim() !== '';
  const part = <T extends Pick<Case, 'inTest' | 'onlyByName'>>(all: readonly T[]): readonly T[] =>
    all.filter((c) => (isNamed || !c.onlyByName) && (c.inTest || !has('--test')));
  return {
    plain: has('--faults') ? [] : part(await allCases()),
    faults: has('--faults') || has('--test') ? part(cells) : [],
  };
}

/** Under build: `e2e`, or `e2e-kind`. */
const directory = (): string => (provider.name === 'lab' ? 'e2e' : `e2e-${provider.name}`);

async function main(): Promise<number> {
  if (has('--list')) {
    for (const c of has('--faults') ? cells : await allCases())
      log(`${c.name.padEnd(44)} ${c.inTest ? 'test' : '    '} ${c.promise}`);
    return 0;
  }
  const names = process.env['CASE'] ?? '';
  const { plain, faults } = await availableCases();
  const unknown = unknownNames([...plain, ...faults], names);
  if (unknown.length > 0) {
    console.error(`CASE: no case is called ${unknown.join(', ')}. --list shows the names.`);
    return 2;
  }
  const matrix = new Matrix();
  const cases = [...pickByName(plain, names), ...matrix.cases(pickByName(faults, names))];
  const [first, second] = await readyNodes();
  if (first === undefined || second === undefined) {
    console.error('Two nodes for pods have to be Ready. Run make lab-up or make kind-up.');
    return 2;
  }
  await prepareCases(cases, [first, second]);
  await installSealift(log);
  if (has('--install')) return 0;
  const results = new Results();
  const report = `build/${has('--faults') ? 'faults' : directory()}/report.json`;
  const found = await versions();
  const outcomes = await runCases(cases, { nodes: [first, second], results, log }, async (so) => {
    if (!has('--faults')) await writeReport(report, results.report(found, so.map(caseResult)));
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

process.exitCode = await main();
