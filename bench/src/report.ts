// SPDX-License-Identifier: Apache-2.0
// The report: a table for people and build/bench/report.json. Figures of parts that were not run this time stay in the
// file, each with the moment at which it was measured.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import type { Figure } from './figure.ts';

export interface Machine {
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
}

export interface Part {
  /** `native`, `blackout`, ... */
  readonly part: string;
  /** RFC 3339. */
  readonly measuredAt: string;
  /** Where the part ran: this machine, or the lab's nodes. */
  readonly on: string;
  readonly figures: readonly Figure[];
}

export interface Report {
  readonly machine: Machine;
  readonly figures: readonly (Figure & { part: string; measuredAt: string; on: string })[];
  /** Path of the picture, relative to the top of the checkout; absent until one was drawn. */
  readonly timeline?: string;
}

export function thisMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cpus: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
  };
}

/** The report with a part's figures in place of that part's earlier ones. Pure. */
export function withPart(before: Report | undefined, part: Part, machine: Machine): Report {
  const { figures, ...from } = part;
  const others = before?.figures.filter((one) => one.part !== part.part) ?? [];
  return {
    ...before,
    machine,
    figures: [...others, ...figures.map((one) => ({ ...one, ...from }))],
  };
}

/** Undefined if there is no report yet. @throws Error for a file that is no report */
export async function readReport(file: string): Promise<Report | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Report;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`${file} is no report. Remove it.`, { cause: error });
  }
}

export async function writeReport(file: string, report: Report): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify(report, null, 1)}\n`);
}

const rounded = (value: number | undefined): string =>
  value === undefined
    ? '–'
    : String(Number.isInteger(value) ? value : Number(value.toPrecision(3)));

/** One line a figure, in Markdown. Pure. */
export function table(figures: readonly Figure[]): string {
  const rows = figures.map((one) => [
    one.name,
    `${rounded(one.value)} ${one.unit}`.trim(),
    one.runs.length > 1
      ? `${rounded(Math.min(...one.runs))} – ${rounded(Math.max(...one.runs))}`
      : '–',
    rounded(one.floor),
    rounded(one.ratio),
    one.goal ? `${one.goal.of} ≤ ${one.goal.atMost}` : '–',
    one.met === undefined ? '–' : one.met ? 'met' : 'NOT MET',
  ]);
  const head = ['figure', 'median', 'lowest – highest', 'floor', 'ratio', 'goal', ''];
  const widths = head.map((name, at) =>
    Math.max(name.length, ...rows.map((row) => row[at]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}
