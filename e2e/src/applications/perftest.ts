// SPDX-License-Identifier: Apache-2.0
// Debian's perftest with the options that use more than the cases `perftest-*` do.
import type { Application, Output } from './application.ts';
import { RUN_SECONDS } from '../run-time.ts';

/** perftest's line of results. */
export interface Result {
  readonly bytes: number;
  readonly iterations: number;
  /** The columns after these: bandwidth and message rate, or latencies. */
  readonly columns: readonly number[];
}

/** The last line of results that perftest has printed, of a bandwidth or of a latency test. Undefined: there is none. */
export function resultIn(log: string): Result | undefined {
  const line = log.split('\n').findLast((one) => /^\s*\d+\s+\d+(\s+[\d.]+){2,}\s*$/.test(one));
  const numbers = line?.trim().split(/\s+/).map(Number) ?? [];
  const [bytes, iterations, ...columns] = numbers;
  if (bytes === undefined || iterations === undefined) return undefined;
  return { bytes, iterations, columns };
}

/** Iterations per second, from the last column of a bandwidth test: millions of messages per second. */
export function rateIn(log: string): number | undefined {
  const millions = resultIn(log)?.columns.at(-1);
  return millions === undefined || millions === 0 ? undefined : millions * 1e6;
}

const COMPLAINT = /error|fail|unable|did not get message/i;

/** The server of some tests prints no results, but neither end may complain. */
export function isVerified({ endpoint, log, iterations }: Output): boolean {
  if (COMPLAINT.test(log)) return false;
  const result = resultIn(log);
  if (endpoint === 'server' && result === undefined) return true;
  if (iterations !== undefined && result?.iterations !== iterations) return false;
  return result !== undefined && result.iterations > 0 && result.columns.some((one) => one > 0);
}

function perftest(
  name: string,
  words: readonly string[],
  more: Partial<Pick<Application, 'counted' | 'queuePairs' | 'receivers'>> = {},
): Application {
  const { counted } = more;
  return {
    name: `perftest-${name}`,
    title: words.join(' '),
    port: 18515,
    // -F: no warning about the CPU frequency.
    server: [...words, '-F', ...(counted ? [] : ['-D', String(RUN_SECONDS)])],
    queuePairs: 1,
    verified: isVerified,
    ...more,
  };
}

const send = (...options: string[]): string[] => ['ib_send_bw', ...options];

export const perftests: readonly Application[] = [
  perftest('srq', send('--use-srq', '-q', '4', '-s', '4096'), { queuePairs: 4 }),
  // A datagram is at most as long as the MTU.
  perftest('ud', send('-c', 'UD', '-s', '1024'), { receivers: ['server'] }),
  // perftest has no duration with events.
  perftest('events', send('-e', '-N', '-s', '4096'), {
    counted: { option: '-n', pilot: 2000, rate: rateIn },
  }),
  perftest('bidirectional', send('-b', '-s', '4096')),
  perftest('inline-send', send('--inline_size=64', '-s', '64')),
  perftest('inline-write', ['ib_write_lat', '--inline_size=64', '-s', '64']),
  // What 64 queue pairs may have on the way at once is what the nodes carry before it is repeated.
  perftest('64qp', send('-q', '64', '-s', '1024', '-t', '16', '-r', '64', '-u', '18'), {
    queuePairs: 64,
  }),
];
