// SPDX-License-Identifier: Apache-2.0
// `make e2e`: runs the cases on the running lab. CASE selects by name. --faults (`make faults`): the fault matrix.
// --test: the part of both that `make test` runs.
import { cells, Matrix, type Cell } from '../faults/matrix.ts';
import type { Case } from './case.ts';
import { readyNodes, versions } from './lab.ts';
import { pickByName, unknownNames } from './names.ts';
import { Results, writeReport } from './report.ts';
import { allCases, runCases } from './runner.ts';
import { installSealift } from './sealift.ts';

const log = (line: string): void => console.log(line);

const has = (option: string): boolean => process.argv.includes(option);

/** The cases and the cells of the fault matrix from which CASE selects. */
async function availableCases(): Promise<{ plain: readonly Case[]; faults: readonly Cell[] }> {
  const part = <T extends { readonly inTest?: boolean }>(all: readonly T[]): readonly T[] =>
    has('--test') ? all.filter((c) => c.inTest) : all;
  return {
    plain: has('--faults') ? [] : part(await allCases()),
    faults: has('--faults') || has('--test') ? part(cells) : [],
  };
}

async function main(): Promise<number> {
  if (has('--list')) {
    for (const c of has('--faults') ? cells : await allCases())
      log(`${c.name.padEnd(36)} ${c.inTest ? 'test' : '    '} ${c.promise}`);
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
    console.error('Two nodes have to be Ready. Run make lab-up.');
    return 2;
  }
  await installSealift(log);
  const results = new Results();
  const outcomes = await runCases(cases, { nodes: [first, second], results, log });
  if (matrix.hasResults) log(`\n${matrix.table()}`);
  if (!has('--faults'))
    await writeReport('build/e2e/report.json', results.report(await versions()));
  const failed = outcomes.filter((o) => o.error !== undefined);
  log('');
  for (const o of failed)
    log(`FAILED ${o.name}: ${o.error instanceof Error ? o.error.message.split('\n')[0] : ''}`);
  log(`report: build/${has('--faults') ? 'faults' : 'e2e'}/report.json`);
  log(`${outcomes.length - failed.length} passed, ${failed.length} failed`);
  return failed.length === 0 ? 0 : 1;
}

process.exitCode = await main();
