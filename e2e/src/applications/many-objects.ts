// SPDX-License-Identifier: Apache-2.0
// A pair with many queue pairs, completion queues and memory regions, which take turns (e2e/workloads/many).
import { z } from 'zod';
import { verdictIn, type Application, type Output } from './application.ts';
import { RUN_SECONDS } from '../run-time.ts';

/** What either end prints in the end. */
const Verdict = z.strictObject({
  ...{ qps: z.int(), cqs: z.int(), regions: z.int(), rounds: z.int(), wrong: z.int() },
});

interface Numbers {
  readonly qps: number;
  readonly cqs: number;
  readonly regions: number;
}

export const isVerified = ({ log }: Output): boolean => {
  const verdict = verdictIn(log, Verdict);
  return !/^(many|exchange): /m.test(log) && verdict?.wrong === 0 && verdict.rounds > 0;
};

/** Each round exchanges two messages and a READ. */
const ROUNDS_PER_SECOND = 40;

function pairOf({ qps, cqs, regions }: Numbers, seconds: number): Application {
  const numbers = [qps, cqs, regions].map(String);
  return {
    name: `many-${qps}`,
    title: `many ${numbers.join(' ')}`,
    port: 18900,
    server: ['many', 'server', ...numbers],
    client: ['many', 'client', ...numbers, String(ROUNDS_PER_SECOND), String(seconds)],
    started: /^progress [1-9]/m,
    queuePairs: qps,
    verified: isVerified,
  };
}

/** With a region for each queue pair, and a completion queue for four. @param seconds for which the client asks */
export const manyPairs = (qps: number, seconds: number): Application =>
  pairOf({ qps, cqs: Math.ceil(qps / 4), regions: qps }, seconds);

const sizes: readonly Numbers[] = [
  { qps: 64, cqs: 16, regions: 1024 },
  { qps: 1024, cqs: 256, regions: 4096 },
];

export const manyObjects: readonly Application[] = sizes.map((numbers) =>
  pairOf(numbers, RUN_SECONDS),
);
