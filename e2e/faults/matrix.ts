// SPDX-License-Identifier: Apache-2.0
// The matrix: every failure at every step at which it makes sense.
import { mkdir, writeFile } from 'node:fs/promises';
import type { Case } from '../src/case.ts';
import { faultCase } from './cell.ts';
import { faultTable, FaultReport, type Cell } from './report.ts';
import { steps } from './steps.ts';
import { victims } from './victims.ts';

const REPORT = 'build/faults/report.json';

export class Matrix {
  readonly #cells: Cell[] = [];

  cases(): Case[] {
    return victims.flatMap((victim) =>
      steps
        .filter((step) => victim.at?.includes(step.name) ?? true)
        .map((step) => faultCase(victim, step, (cell) => this.#cells.push(cell))),
    );
  }

  /** Writes what came out and gives the table. */
  async write(): Promise<string> {
    await mkdir('build/faults', { recursive: true });
    const report = FaultReport.parse({ cells: this.#cells });
    await writeFile(REPORT, `${JSON.stringify(report, null, 2)}\n`);
    return faultTable(
      this.#cells,
      steps.map((step) => step.name),
    );
  }
}
