// SPDX-License-Identifier: Apache-2.0
// Open MPI over UCX, with two ranks in two pods: mpirun and rank 0 in the client's, rank 1 in the server's.
import { z } from 'zod';
import { verdictIn, type Application, type Output } from './application.ts';
import { NO_DGID_CHECK } from './ucx.ts';

/** What rank 0 prints at the end (e2e/workloads/mpi). */
const Verdict = z.strictObject({
  test: z.string(),
  ranks: z.int(),
  rounds: z.int(),
  wrong: z.int(),
});

/** Every rank compares every value that it receives. The server's rank has no output of its own: mpirun prints it. */
export function isVerified({ endpoint, log }: Output): boolean {
  if (endpoint === 'server') return true;
  const verdict = verdictIn(log, Verdict);
  return verdict?.ranks === 2 && verdict.rounds > 0 && verdict.wrong === 0;
}

const FABRIC = '10.99.0.0/24';
const PMIX_NETWORK = `PMIX_MCA_ptl_tcp_if_include=${FABRIC}`;

/**
 * mpirun starts rank 1 as it does on any cluster, by a remote shell; `mpi-agent` and `mpi-shell` are that, as the image has no
 * ssh. Its daemons and their ranks (PMIx) talk on the fabric network: a pod's address on the cluster network does not move.
 * They stay in the foreground, so that the container lives as long as they do. Debian turns UCX off and Open MPI knows
 * no SoftRoCE, so both are asked for.
 */
const MPIRUN = [
  ...[
    'env',
    PMIX_NETWORK,
    'PRTE_MCA_plm_ssh_agent=mpi-agent',
    'PRTE_MCA_prte_leave_session_attached=1',
  ],
  ...['mpirun', '--allow-run-as-root', '--bind-to', 'none', '--map-by', 'node'],
  ...['--host', '$(hostname):1,$PEER:1', '-np', '2'],
  ...['--prtemca', 'oob_tcp_if_include', FABRIC],
  ...['--mca', 'pml', 'ucx', '--mca', 'opal_common_ucx_devices', 'any', '--mca', 'shmem', 'mmap'],
  ...['-x', 'UCX_TLS=rc_v,self', '-x', NO_DGID_CHECK],
];

function rounds(test: 'pingpong' | 'allreduce', bytes: number): Application {
  const words = ['mpi-rounds', test];
  // Two moves, one after the other; rank 0 counts the time from the first message.
  const seconds = 240;
  return {
    name: `mpi-${test}`,
    title: `mpirun --mca pml ucx ${words.join(' ')}`,
    inApplicationsImage: true,
    cpuLimit: '600m',
    port: 2222,
    server: ['env', PMIX_NETWORK, 'mpi-shell'],
    client: [...MPIRUN, ...words, String(seconds), String(bytes)],
    started: /^progress [1-9]/m,
    moves: ['client', 'server', 'both'],
    queuePairs: 1,
    verified: isVerified,
  };
}

export const mpi: readonly Application[] = [rounds('pingpong', 4096), rounds('allreduce', 32_768)];
