// SPDX-License-Identifier: Apache-2.0
// A server that opens its device and forks workers, which register memory and post (e2e/workloads/forking).
import { z } from 'zod';
import { verdictIn, type Application, type Output } from './application.ts';
import { RUN_SECONDS } from '../run-time.ts';

/** What the client prints at the end. */
const Verdict = z.strictObject({ workers: z.int(), rounds: z.int(), wrong: z.int() });

const WORKERS = 4;
/** The client's verdict has what the workers have found, too. */
export function isVerified({ endpoint, log }: Output): boolean {
  if (/^exchange: /m.test(log)) return false;
  if (endpoint === 'server') return true;
  const verdict = verdictIn(log, Verdict);
  return verdict?.workers === WORKERS && verdict.rounds > 0 && verdict.wrong === 0;
}

export const forking: readonly Application[] = [
  {
    name: 'forking-server',
    title: `forking server ${WORKERS}`,
    /** The last worker's: the first ones listen by then. */
    port: 18700 + WORKERS - 1,
    server: ['forking', 'server', String(WORKERS)],
    client: ['forking', 'client', String(WORKERS), String(RUN_SECONDS)],
    started: /^progress [1-9]/m,
    queuePairs: WORKERS,
    verified: isVerified,
  },
];
