// SPDX-License-Identifier: Apache-2.0
// The form of build/faults/report.json, and the same as a table.
import { z } from 'zod';

export const Runner = z.enum(['source', 'target', 'none']);
export type Runner = z.infer<typeof Runner>;

export const Cell = z.strictObject({
  victim: z.string(),
  step: z.string(),
  /** Who may run in the end. */
  expected: z.array(Runner).min(1),
  runner: Runner,
  lost: z.int().min(0),
  duplicated: z.int().min(0),
  /** Of the peer's device: requests given up, and packets that could not be sent. */
  peerErrors: z.int().min(0),
  /** From the harm until the request has ended and, where one runs, the peer goes on. */
  settleMs: z.number().min(0),
});
export type Cell = z.infer<typeof Cell>;

export const FaultReport = z.strictObject({ cells: z.array(Cell) });

/** One row per victim, one column per step: who ran in the end, and after how many seconds. */
export function faultTable(cells: readonly Cell[], steps: readonly string[]): string {
  const names = [...new Set(cells.map((cell) => cell.victim))];
  const rows = names.map((victim) =>
    steps.map((step) => {
      const cell = cells.find((one) => one.victim === victim && one.step === step);
      return cell ? `${cell.runner}, ${(cell.settleMs / 1000).toFixed(0)} s` : '';
    }),
  );
  const line = (fields: readonly string[]): string => `| ${fields.join(' | ')} |`;
  return [
    line(['victim', ...steps]),
    line(['victim', ...steps].map(() => '---')),
    ...rows.map((row, n) => line([names[n] ?? '', ...row])),
  ].join('\n');
}
