// SPDX-License-Identifier: Apache-2.0
// `make e2e`: runs the cases on the lab that is up; CASE picks by name. --faults (`make faults`): the fault matrix.
// --test: the part of both that `make test` runs.
import { cells, Matrix } from '../faults/matrix.ts';
import type { Case } from './case.ts';
import { readyNodes, versions } from './lab.ts';
import { Facts, writeReport } from './report.ts';
import { allCases, pick, runCases } from './runner.ts';
import { installSealift } from './sealift.ts';

const tell = (line: string): void => console.log(line);

const has = (option: string): boolean => process.argv.includes(option);

async function chosen(matrix: Matrix): Promise<readonly Case[]> {
  const names = process.env['CASE'] ?? '';
  const part = <T extends { readonly name: string; readonly inTest?: boolean }>(
    all: readonly T[],
  ) => pick(has('--test') ? all.filter((c) => c.inTest) : all, names);
  const plain = has('--faults') ? [] : part(await allCases());
  const faults = has('--faults') || has('--test') ? matrix.cases(part(cells)) : [];
  return [...plain, ...faults];
}

async function main(): Promise<number> {
  const faults = has('--faults');
  if (has('--list')) {
    for (const c of faults ? cells : await allCases())
      tell(`${c.name.padEnd(36)} ${c.inTest ? 'test' : '    '} ${c.promise}`);
    return 0;
  }
  const matrix = new Matrix();
  const cases = await chosen(matrix);
  if (cases.length === 0) {
    console.error(`no case is called ${process.env['CASE']}: see --list`);
    return 2;
  }
  const [first, second] = await readyNodes();
  if (first === undefined || second === undefined) {
    console.error('two nodes have to be Ready: make lab-up');
    return 2;
  }
  await installSealift(tell);
  const facts = new Facts();
  const outcomes = await runCases(cases, { nodes: [first, second], facts, tell });
  if (matrix.isPlayed) tell(`\n${matrix.table()}`);
  if (!faults) await writeReport('build/e2e/report.json', facts.report(await versions()));
  const failed = outcomes.filter((o) => o.error !== undefined);
  tell('');
  for (const o of failed)
    tell(`FAILED ${o.name}: ${o.error instanceof Error ? o.error.message.split('\n')[0] : ''}`);
  tell(`report: build/${faults ? 'faults' : 'e2e'}/report.json`);
  tell(`${outcomes.length - failed.length} passed, ${failed.length} failed`);
  return failed.length === 0 ? 0 : 1;
}

process.exitCode = await main();
