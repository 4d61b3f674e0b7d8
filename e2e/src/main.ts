// SPDX-License-Identifier: Apache-2.0
// `make e2e`: runs the cases on the lab that is up; CASE picks by name. --faults (`make faults`): the fault matrix.
// --test: the part of both that `make test` runs.
import { cells, Matrix, type CellName } from '../faults/matrix.ts';
import type { Case } from './case.ts';
import { readyNodes, versions } from './lab.ts';
import { pick, strangers } from './names.ts';
import { Facts, writeReport } from './report.ts';
import { allCases, runCases } from './runner.ts';
import { installSealift } from './sealift.ts';

const tell = (line: string): void => console.log(line);

const has = (option: string): boolean => process.argv.includes(option);

/** What there is to choose from: plain cases, and cells of the fault matrix. */
async function offered(): Promise<{ plain: readonly Case[]; faults: readonly CellName[] }> {
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
      tell(`${c.name.padEnd(36)} ${c.inTest ? 'test' : '    '} ${c.promise}`);
    return 0;
  }
  const names = process.env['CASE'] ?? '';
  const { plain, faults } = await offered();
  const unknown = strangers([...plain, ...faults], names);
  if (unknown.length > 0) {
    console.error(`CASE: no case is called ${unknown.join(', ')}: see --list`);
    return 2;
  }
  const matrix = new Matrix();
  const cases = [...pick(plain, names), ...matrix.cases(pick(faults, names))];
  const [first, second] = await readyNodes();
  if (first === undefined || second === undefined) {
    console.error('two nodes have to be Ready: make lab-up');
    return 2;
  }
  await installSealift(tell);
  const facts = new Facts();
  const outcomes = await runCases(cases, { nodes: [first, second], facts, tell });
  if (matrix.isPlayed) tell(`\n${matrix.table()}`);
  if (!has('--faults')) await writeReport('build/e2e/report.json', facts.report(await versions()));
  const failed = outcomes.filter((o) => o.error !== undefined);
  tell('');
  for (const o of failed)
    tell(`FAILED ${o.name}: ${o.error instanceof Error ? o.error.message.split('\n')[0] : ''}`);
  tell(`report: build/${has('--faults') ? 'faults' : 'e2e'}/report.json`);
  tell(`${outcomes.length - failed.length} passed, ${failed.length} failed`);
  return failed.length === 0 ? 0 : 1;
}

process.exitCode = await main();
