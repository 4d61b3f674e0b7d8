// SPDX-License-Identifier: Apache-2.0
// Which queue pairs can be moved, told by what the kernel's resource tracker shows of them: known before anything
// is touched. What it does not show (SRQs, memory windows) CRIU's plugin finds in the dump.
import type { RdmaResources } from '../../../../native/addon/index.ts';
import { AgentError } from '../../support/errors.ts';

/** @throws AgentError UnsupportedObject naming the first queue pair of a process that is not RC */
export function checkSupported(device: string, { qp }: Pick<RdmaResources, 'qp'>): void {
  // Those without a pid are the kernel's own, and made anew with every device.
  const other = qp.find((one) => one.pid !== undefined && one.type !== 'RC');
  if (!other) return;
  throw new AgentError(
    'UnsupportedObject',
    `process ${other.pid} has queue pair ${other.lqpn} of type ${other.type} on ${device}; ` +
      'only RC queue pairs can be moved: close it first',
  );
}
