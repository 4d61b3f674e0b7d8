// SPDX-License-Identifier: Apache-2.0
// A pair that makes a connection for each piece of work, on a device that it opens anew (e2e/workloads/reconnecting).
import { z } from 'zod';
import { provider } from '../provider/choice.ts';
import { verdictIn, type Application, type Output } from './application.ts';

/** What the client prints at the end. */
const Verdict = z.strictObject({ sessions: z.int(), rounds: z.int(), wrong: z.int() });

/** Together longer than three moves take on an emulated node. */
const SESSIONS = 60 * provider.slowness;
const SESSION_S = 6;

/** The client's verdict has what the server has found, too. */
export function isVerified({ endpoint, log }: Output): boolean {
  if (/^exchange: /m.test(log)) return false;
  if (endpoint === 'server') return new RegExp(`^session ${SESSIONS}$`, 'm').test(log);
  const verdict = verdictIn(log, Verdict);
  return verdict?.sessions === SESSIONS && verdict.rounds > SESSIONS && verdict.wrong === 0;
}

export const reconnecting: readonly Application[] = [
  {
    name: 'reconnecting',
    title: `reconnecting ${SESSIONS}`,
    port: 18700,
    server: ['reconnecting', 'server', String(SESSIONS)],
    client: ['reconnecting', 'client', String(SESSIONS), String(SESSION_S)],
    started: /^progress [1-9]/m,
    times: 3,
    // It has opened the device on the node where it is now.
    afterMove: /^session /m,
    // Between two connections there is none.
    queuePairs: 0,
    verified: isVerified,
  },
];
