// SPDX-License-Identifier: Apache-2.0
// The examples of rdma-core, as Debian's ibverbs-utils has them.
import type { Application, Output } from './application.ts';

/** Iterations and how long they took, of the last run in the output. Undefined: none has ended. */
export function runIn(log: string): { iterations: number; seconds: number } | undefined {
  const line = [...log.matchAll(/^(\d+) iters in ([\d.]+) seconds/gm)].at(-1);
  return line && { iterations: Number(line[1]), seconds: Number(line[2]) };
}

/** A run of 0.00 seconds has taken at most half of the last digit. */
export function rateIn(log: string): number | undefined {
  const run = runIn(log);
  return run && run.iterations / Math.max(run.seconds, 0.005);
}

/** With `-c` the server compares what it has received, and prints each page that is wrong. */
export const isVerified = ({ log, iterations }: Output): boolean =>
  !/invalid data|fail|error|couldn't/i.test(log) && runIn(log)?.iterations === iterations;

function pingpong(kind: string, options: readonly string[], queuePairs = 1): Application {
  const words = [`ibv_${kind}_pingpong`, '-c', ...options];
  return {
    name: `pingpong-${kind}`,
    title: words.join(' '),
    port: 18515,
    server: [...words, '-g', '$GID'],
    counted: { option: '-n', pilot: 1000, rate: rateIn },
    queuePairs,
    verified: isVerified,
  };
}

export const pingpongs: readonly Application[] = [
  pingpong('rc', []),
  pingpong('srq', ['-e'], 16),
  pingpong('ud', ['-e', '-s', '1024']),
];
