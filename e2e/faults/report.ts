// SPDX-License-Identifier: Apache-2.0
// The schema of build/faults/report.json, and its tables.
import { z } from 'zod';

export const RunningCopy = z.enum(['source', 'target', 'none']);
export type RunningCopy = z.infer<typeof RunningCopy>;

const count = z.int().min(0);
const ms = z.number().min(0);

export const CellResult = z.strictObject({
  victim: z.string(),
  step: z.string(),
  /** Which copies may run in the end. */
  expected: z.array(RunningCopy).min(1),
  runner: RunningCopy,
  /** Operations of the ledger, both endpoints together. */
  lost: count,
  duplicated: count,
  /** Counted by the peer's device: requests that it gave up, packets that it could not send. */
  peerErrors: count,
  /** From the failure until the request has ended and, if a copy runs, the client completes operations again. */
  settleMs: ms,
});
export type CellResult = z.infer<typeof CellResult>;

/** The pause that an abort at a step cost the application. */
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

/** One row per victim, one column per step: which copy ran in the end, and after how many seconds. */
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
    .map((all) => [all.length, ...(all.length > 0 ? [Math.min(...all), Math.max(...all)] : [])])
    .map(([n, least, most]) => (n ? `${n}: ${least?.toFixed(0)} to ${most?.toFixed(0)} ms` : ''));
  return [
    table(['victim', ...steps], rows),
    '',
    'Aborted moves by step, and the pause that they cost the application:',
    '',
    table([...steps], [pauses]),
  ].join('\n');
}
