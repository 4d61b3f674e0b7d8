// SPDX-License-Identifier: Apache-2.0
// Runs the plugin in the test's own process, and keeps what it prints.
import { run } from '../src/cli.ts';

export interface Printed {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

/** The time of every test. */
export const NOW = Date.parse('2026-03-04T05:06:07Z');
export const at = (seconds: number): string => new Date(NOW + seconds * 1000).toISOString();

export async function call(
  argv: readonly string[],
  { now = () => NOW, signal = new AbortController().signal, isTerminal = false } = {},
): Promise<Printed> {
  let [out, error] = ['', ''];
  const streams = {
    out: (text: string) => void (out += text),
    error: (text: string) => void (error += text),
    isTerminal,
    now,
  };
  const code = await run(argv, streams, signal);
  return { code, out, error };
}
