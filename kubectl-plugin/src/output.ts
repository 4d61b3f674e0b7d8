// SPDX-License-Identifier: Apache-2.0
// What the plugin prints: tables, objects as JSON or YAML, sizes and times as people read them.
import { stringify } from 'yaml';
import { inUnits } from '../../crds/src/index.ts';

export interface Streams {
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
  /** Whether standard error is a terminal, on which a line can be written again. */
  readonly isTerminal: boolean;
  readonly now: () => number;
}

export class Output {
  readonly streams: Streams;

  constructor(streams: Streams) {
    this.streams = streams;
  }

  line(text = ''): void {
    this.streams.out(`${text}\n`);
  }

  /** For people, beside what a program may read from standard output. */
  note(text: string): void {
    this.streams.error(`${text}\n`);
  }

  table(header: readonly string[], rows: readonly (readonly string[])[]): void {
    for (const line of tableLines([header, ...rows])) this.line(line);
  }

  /** One object as it is, several as a List. */
  objects(format: string, objects: readonly unknown[]): void {
    const [only] = objects;
    const value =
      objects.length === 1 ? only : { apiVersion: 'v1', kind: 'List', items: [...objects] };
    if (format === 'json') this.line(JSON.stringify(value, undefined, 2));
    else this.streams.out(stringify(value, { aliasDuplicateObjects: false }));
  }
}

/** Columns as wide as their widest cell, three blanks apart, as kubectl prints them. */
export function tableLines(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length);
  }
  return rows.map((row) =>
    row
      .map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd((widths[at] ?? 0) + 3)))
      .join('')
      .trimEnd(),
  );
}

/** `812 ms`, `2.31 s`, `1 min 5 s`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(2)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

/** `17 B`, `4.0 KiB`, `12.5 MiB`. */
export function size(bytes: number): string {
  const [value, unit] = inUnits(bytes);
  return unit === undefined ? `${value} B` : `${value.toFixed(1)} ${unit}`;
}

/** As in kubectl's AGE: the largest unit, or the two largest of short times. */
export function age(timestamp: string, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(timestamp)) / 1000));
  if (!Number.isFinite(seconds)) return '<unknown>';
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 600) return `${Math.floor(seconds / 60)}m${seconds % 60}s`;
  if (seconds < 10_800) return `${Math.floor(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`;
}
