// SPDX-License-Identifier: Apache-2.0
// UCX's own benchmark, ucx_perftest of Debian's ucx-utils, over each of the two transports that plain verbs have.
import type { Application, Output } from './application.ts';

/** The table's last line, which the client prints at the end. Undefined: it has not ended. */
export function resultIn(log: string): { iterations: number; messagesPerS: number } | undefined {
  const line = log.split('\n').findLast((one) => one.startsWith('Final:'));
  const [iterations, ...columns] = line?.split(/\s+/).slice(1).map(Number) ?? [];
  const messagesPerS = columns.at(-1);
  return iterations === undefined || messagesPerS === undefined
    ? undefined
    : { iterations, messagesPerS };
}

/** UCX's own log, at level ERROR or FATAL: `[time] [host:pid:thread] file.c:line UCX  ERROR text`. */
const COMPLAINT = /\bUCX\s+(ERROR|FATAL)\b|Caught signal/;

/** The server prints nothing at its end. */
export const isVerified = ({ endpoint, log, iterations }: Output): boolean =>
  !COMPLAINT.test(log) && (endpoint === 'server' || resultIn(log)?.iterations === iterations);

/**
 * UCX reads from a completion's service level whether a datagram came over IPv4. rxe writes none, so UCX takes the IPv4
 * header for a GRH and drops each datagram as another's: with SoftRoCE the check has to be off, with or without Sealift.
 */
export const NO_DGID_CHECK = 'UCX_UD_VERBS_ETH_DGID_CHECK=n';

/**
 * - `rc_v` is rc_verbs, and ud_verbs for its first messages.
 * - Debian's ucx_perftest links MPI, and starts it where its input is no terminal; without `-P 0` it wants two ranks then.
 *   MPI is to look for no network and no shared memory of its own.
 * - The IPv4 GID is what UCX chooses by itself on RoCE v2; the kernel's order of GIDs is not to matter.
 */
const environment = (transport: 'rc' | 'ud'): string[] => [
  ...['env', `UCX_TLS=${transport}_v,self`, 'UCX_IB_GID_INDEX=$GID', NO_DGID_CHECK],
  ...['OMPI_MCA_btl=self', 'OMPI_MCA_shmem=mmap'],
];

interface Test {
  /** ucx_perftest's name of it. */
  readonly test: string;
  readonly size: number;
  /** Messages of one iteration: a latency test sends one each way. */
  readonly messages?: number;
}

/** Of the layer that applications call (UCP). 64 KiB go by rendezvous: the receiver reads them. */
const TESTS: readonly Test[] = [
  { test: 'tag_bw', size: 65_536 },
  { test: 'tag_lat', size: 64, messages: 2 },
  { test: 'ucp_am_lat', size: 64, messages: 2 },
  { test: 'ucp_put_bw', size: 4096 },
  { test: 'ucp_get', size: 4096 },
  { test: 'stream_bw', size: 4096 },
];

const PILOT = 300;

function perftest(transport: 'rc' | 'ud', { test, size, messages = 1 }: Test): Application {
  const words = ['ucx_perftest', '-P', '0', '-t', test, '-s', String(size), '-w', '10'];
  const rate = (log: string): number | undefined => {
    const result = resultIn(log);
    return result && result.messagesPerS / messages;
  };
  return {
    name: `ucx-${transport}-${test.replace(/^ucp_/, '').replaceAll('_', '-')}`,
    title: `UCX_TLS=${transport}_v ucx_perftest -t ${test} -s ${size}`,
    inApplicationsImage: true,
    cpuLimit: '500m',
    port: 13337,
    server: [...environment(transport), ...words],
    counted: { option: '-n', pilot: PILOT, rate },
    queuePairs: 1,
    verified: isVerified,
  };
}

export const ucx: readonly Application[] = (['rc', 'ud'] as const).flatMap((transport) =>
  TESTS.map((test) => perftest(transport, test)),
);
