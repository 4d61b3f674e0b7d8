// SPDX-License-Identifier: Apache-2.0
// The program: `kubectl sealift ...` runs it as kubectl-sealift.
import { run } from './cli.ts';

const stop = new AbortController();
process.once('SIGINT', () => stop.abort());
process.once('SIGTERM', () => stop.abort());

// A reader that has had enough (head) closes the pipe. What was asked for goes on, and so does the exit code.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

void run(
  process.argv.slice(2),
  {
    out: (text) => void process.stdout.write(text),
    error: (text) => void process.stderr.write(text),
    isTerminal: process.stderr.isTTY && process.env['TERM'] !== 'dumb',
    now: () => Date.now(),
  },
  stop.signal,
).then((code) => {
  // Connections that are kept open would keep the process.
  process.stdout.write('', () => process.exit(code));
});
