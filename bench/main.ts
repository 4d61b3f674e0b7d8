// SPDX-License-Identifier: Apache-2.0
// `make bench`: runs the parts that BENCH names, prints their figures as tables, and keeps all of them in
// build/bench/report.json. It does not fail for a goal that is not met: the table says so.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parts, pickParts } from './src/parts.ts';
import { readReport, table, thisMachine, withPart, writeReport } from './src/report.ts';

const top = fileURLToPath(new URL('..', import.meta.url));
const out = `${top}build/bench`;
const file = `${out}/report.json`;

for (const name of pickParts(process.env['BENCH'])) {
  const part = parts[name];
  console.log(`\n${name}: ${part.what}`);
  const { figures, on } = await part.run({ top, out });
  console.log(table(figures));
  const measuredAt = new Date().toISOString();
  const report = withPart(
    await readReport(file),
    { part: name, measuredAt, on, figures },
    thisMachine(),
  );
  const picture = existsSync(`${out}/move.svg`) ? { timeline: 'build/bench/move.svg' } : {};
  await writeReport(file, { ...report, ...picture });
}
console.log(
  `\nAll figures are in build/bench/report.json, and a picture of one move in build/bench/move.svg.`,
);
