// SPDX-License-Identifier: Apache-2.0
// Which queue pairs can be moved, by what the kernel's resource tracker (drivers/infiniband/core/nldev.c) lists: the
// agent knows it before it touches the pod. Memory windows are not listed; the CRIU plugin refuses them at the dump. A
// shared receive queue can be moved, and so can a queue pair that uses one.
import type { RdmaResources } from '../../../../native/addon/index.ts';
import { AgentError } from '../../support/errors.ts';

/** Queue pairs that every device comes with. No process can make one. */
const kernelTypes: ReadonlySet<string> = new Set(['GSI', 'SMI']);

/**
 * Pure.
 * @param device name of the RDMA device, for the message
 * @throws AgentError UnsupportedObject naming the first queue pair of a process that is not of type RC
 */
export function checkSupported(device: string, { qp }: Pick<RdmaResources, 'qp'>): void {
  // A queue pair has no PID if it is the kernel's own, or if the thread that made it has ended (rdma_restrack).
  const other = qp.find(({ type }) => type !== 'RC' && !kernelTypes.has(type));
  if (!other) return;
  throw new AgentError(
    'UnsupportedObject',
    `${other.pid === undefined ? 'A process' : `Process ${other.pid}`} has queue pair ${other.lqpn} of type ${other.type} on ${device}. ` +
      'Only RC queue pairs can be moved: close it, then ask again.',
  );
}
