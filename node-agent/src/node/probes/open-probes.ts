// SPDX-License-Identifier: Apache-2.0
// Probes of a pod that the kubelet has begun and that have no answer yet: connections of root's processes on the node to
// the pod's probed ports. A lock would drop the answer, and with a failureThreshold of 1 the kubelet would kill the pod.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno } from '../../support/errors.ts';
import { addressIn, canonical } from '../host/socket-table.ts';
import type { ProbedPorts } from './probed-ports.ts';

type Probed = Pick<ProbedPorts, 'ports' | 'timeoutMs'> & { readonly addresses: readonly string[] };

/** The kubelet's own time for a probe that says nothing else (core/v1 Probe, timeoutSeconds). */
const USUAL_TIMEOUT_MS = 1000;
/** A slower probe, or a connection that is none, does not put off a move any longer. */
const LONGEST_WAIT_MS = 10_000;
const LOOK_MS = 20;
const TABLES = ['tcp', 'tcp6'] as const;
/** include/net/tcp_states.h: TCP_ESTABLISHED, TCP_SYN_SENT. In any other state one side has closed: it has its answer. */
const WAITING: ReadonlySet<string | undefined> = new Set(['01', '02']);
const ROOT = '0';

/**
 * Resolves when the probes that are under way now have ended, or the kubelet has given them up. Those that begin from now
 * on do not count. Changes nothing.
 * @param net directory of the tables of the node's sockets
 * @param signal ends the wait
 */
export async function openProbesEnd(
  probes: Probed,
  net: string,
  signal?: AbortSignal,
): Promise<void> {
  const timeoutMs = Math.min(probes.timeoutMs ?? USUAL_TIMEOUT_MS, LONGEST_WAIT_MS);
  const end = performance.now() + timeoutMs;
  let open = await openProbes(probes, net);
  while (open.size > 0 && performance.now() < end && !signal?.aborted) {
    await sleep(LOOK_MS);
    const still = await openProbes(probes, net);
    open = new Set([...open].filter((one) => still.has(one)));
  }
}

/** The connections, as the tables name both their ends. */
async function openProbes({ addresses, ports }: Probed, net: string): Promise<Set<string>> {
  const own = new Set(addresses.map(canonical));
  const found = new Set<string>();
  for (const table of TABLES) {
    for (const line of (await linesOf(join(net, table))).slice(1)) {
      const [, local, remote = '', state, , , , uid] = line.trim().split(/\s+/);
      if (!WAITING.has(state) || uid !== ROOT) continue;
      const [hex = '', port = ''] = remote.split(':');
      if (ports.includes(parseInt(port, 16)) && own.has(addressIn(hex)))
        found.add(`${local} ${remote}`);
    }
  }
  return found;
}

/** None where the kernel has no such sockets. */
async function linesOf(path: string): Promise<string[]> {
  try {
    return (await readFile(path, 'utf8')).split('\n');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}
