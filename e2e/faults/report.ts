// SPDX-License-Identifier: Apache-2.0
// The form of build/faults/report.json, and the same as tables.
import { z } from 'zod';

export const RunningCopy = z.enum(['source', 'target', 'none']);
export type RunningCopy = z.infer<typeof RunningCopy>;

const count = z.int().min(0);
const ms = z.number().min(0);

export const CellResult = z.strictObject({
  victim: z.string(),
  step: z.string(),
  /** Who may run in the end. */
  expected: z.array(RunningCopy).min(1),
  runner: RunningCopy,
  /** Of the ledger, both sides together. */
  lost: count,
  duplicated: count,
  /** Of the peer's device: requests given up, and packets that could not be sent. */
  peerErrors: count,
  /** From the harm until the request has ended and, where one runs, the peer goes on. */
  settleMs: ms,
});
export type CellResult = z.infer<typeof CellResult>;

/** What an abort at a step cost the application that went on at the source. */
export const AbortResult = z.strictObject({
  victim: z.string(),
  step: z.string(),
  reason: z.string(),
  pauseMs: ms,
});
export type AbortResult = z.infer<typeof AbortResult>;

export const FaultReport = z.strictObject({
  cells: z.array(CellResult),
  aborts: z.array(AbortResult),
});
export type FaultReport = z.infer<typeof FaultReport>;

const line = (fields: readonly string[]): string => `| ${fields.join(' | ')} |`;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** One row per victim, one column per step: who ran in the end, and after how many seconds. */
export function faultTable(report: FaultReport, steps: readonly string[]): string {
  const { cells, aborts } = report;
  const rows = [...new Set(cells.map((cell) => cell.victim))].map((victim) => [
    victim,
    ...steps.map((step) => {
      const cell = cells.find((one) => one.victim === victim && one.step === step);
      return cell ? `${cell.runner}, ${(cell.settleMs / 1000).toFixed(0)} s` : '';
    }),
  ]);
  const pauses = steps
    .map((step) => aborts.filter((abort) => abort.step === step).map((abort) => abort.pauseMs))
    .map((of) => [of.length, ...(of.length > 0 ? [Math.min(...of), Math.max(...of)] : [])])
    .map(([n, least, most]) => (n ? `${n}: ${least?.toFixed(0)} to ${most?.toFixed(0)} ms` : ''));
  return [
    table(['victim', ...steps], rows),
    '',
    'Aborted moves by step, and the pause that they cost the application:',
    '',
    table([...steps], [pauses]),
  ].join('\n');
}
