// SPDX-License-Identifier: Apache-2.0
// The report of demo and cases: its schema, how it is collected, and its table.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';

const ms = z.number().min(0);
const count = z.int().min(0);

export const Steps = z.strictObject({
  prepareMs: ms,
  holdMs: ms,
  freezeMs: ms,
  dumpMs: ms,
  transferMs: ms,
  restoreMs: ms,
  registerMs: ms,
  decideMs: ms,
  resumeMs: ms,
});

export const Move = z.strictObject({
  pod: z.string(),
  workload: z.string(),
  from: z.string(),
  to: z.string(),
  blackoutMs: ms,
  steps: Steps,
  bytes: z.strictObject({ pages: count, verbs: count, rootfs: count }),
  objects: z.strictObject({ qp: count, cq: count, mr: count }),
  same: z.strictObject({
    qpn: z.boolean(),
    lkey: z.boolean(),
    rkey: z.boolean(),
    gid: z.boolean(),
    ip: z.boolean(),
    mac: z.boolean(),
  }),
});
export type Move = z.infer<typeof Move>;

export const PerftestResult = z.strictObject({
  test: z.string(),
  qps: count,
  moved: z.enum(['client', 'server']),
  clientExit: z.int(),
  serverExit: z.int(),
});
export type PerftestResult = z.infer<typeof PerftestResult>;

export const ApplicationResult = z.strictObject({
  name: z.string(),
  moved: z.enum(['client', 'server', 'both']),
  /** Exit statuses; -1 of one that has not ended. */
  exit: z.strictObject({ client: z.int(), server: z.int() }),
  /** By what the application itself checks and prints. */
  verified: z.boolean(),
  /** The longest of its moves. */
  blackoutMs: ms,
});
export type ApplicationResult = z.infer<typeof ApplicationResult>;

export const LedgerResult = z.strictObject({
  operations: count,
  lost: count,
  duplicated: count,
  corrupted: count,
  reordered: count,
  longestPauseMs: count,
});
export type LedgerResult = z.infer<typeof LedgerResult>;

export const CaseResult = z.strictObject({
  name: z.string(),
  status: z.enum(['passed', 'failed', 'skipped']),
  /** Why it has failed or was skipped; empty for one that has passed. */
  reason: z.string(),
});
export type CaseResult = z.infer<typeof CaseResult>;

export const Report = z.strictObject({
  /** Of `make e2e`; the demo has no cases. */
  cases: z.array(CaseResult).optional(),
  moves: z.array(Move),
  perftest: z.array(PerftestResult),
  applications: z.array(ApplicationResult),
  ledger: LedgerResult,
  versions: z.strictObject({
    kernel: z.string(),
    criu: z.string(),
    runc: z.string(),
    containerd: z.string(),
    kubernetes: z.string(),
    sealift: z.string(),
    /** Of a kind cluster. */
    kind: z.string().optional(),
  }),
});
export type Report = z.infer<typeof Report>;

/** Collects the results of one or more cases. */
export class Results {
  readonly moves: Move[] = [];
  readonly perftest: PerftestResult[] = [];
  readonly applications: ApplicationResult[] = [];
  readonly ledger: LedgerResult = {
    operations: 0,
    lost: 0,
    duplicated: 0,
    corrupted: 0,
    reordered: 0,
    longestPauseMs: 0,
  };

  addLedger(result: LedgerResult): void {
    this.ledger.operations += result.operations;
    this.ledger.lost += result.lost;
    this.ledger.duplicated += result.duplicated;
    this.ledger.corrupted += result.corrupted;
    this.ledger.reordered += result.reordered;
    this.ledger.longestPauseMs = Math.max(this.ledger.longestPauseMs, result.longestPauseMs);
  }

  report(versions: Record<string, string>, cases?: readonly CaseResult[]): Report {
    const { moves, perftest, applications, ledger } = this;
    const measured = { moves, perftest, applications, ledger };
    return Report.parse({ ...(cases && { cases }), ...measured, versions });
  }
}

/** No operation was lost, duplicated, corrupted or reordered. */
export const isClean = (l: LedgerResult): boolean =>
  l.lost + l.duplicated + l.corrupted + l.reordered === 0;

export async function writeReport(path: string, report: Report): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${JSON.stringify(Report.parse(report), null, 2)}\n`);
}

/** One column per move: its steps with their durations, and what it moved. */
export function moveTable(moves: readonly Move[]): string {
  const steps = Object.keys(Steps.shape) as (keyof Move['steps'])[];
  const rows: string[][] = [
    ['', ...moves.map((m) => m.workload)],
    ['pod', ...moves.map((m) => m.pod)],
    ['from → to', ...moves.map((m) => `${m.from} → ${m.to}`)],
    ...steps.map((s) => [s.replace(/Ms$/, ''), ...moves.map((m) => `${m.steps[s].toFixed(0)} ms`)]),
    ['blackout', ...moves.map((m) => `${m.blackoutMs.toFixed(0)} ms`)],
    ['QP, CQ, MR', ...moves.map((m) => `${m.objects.qp}, ${m.objects.cq}, ${m.objects.mr}`)],
    ['bytes', ...moves.map((m) => String(m.bytes.pages + m.bytes.verbs + m.bytes.rootfs))],
    [
      'the same',
      ...moves.map((m) =>
        Object.entries(m.same)
          .map(([k, v]) => (v ? k : `NOT ${k}`))
          .join(' '),
      ),
    ],
  ];
  return aligned(rows);
}

/** One row per application. */
export function applicationTable(applications: readonly ApplicationResult[]): string {
  return aligned([
    ['application', 'moved', 'client', 'server', 'verified', 'blackout'],
    ...applications.map(({ name, moved, exit, verified, blackoutMs }) => [
      ...[name, moved, String(exit.client), String(exit.server)],
      ...[verified ? 'yes' : 'NO', `${blackoutMs.toFixed(0)} ms`],
    ]),
  ]);
}

/** Rows of equally many cells as lines, each column as wide as its widest cell. */
function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((r) => r[i]?.length ?? 0))) ?? [];
  return rows
    .map((r) =>
      r
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
