// SPDX-License-Identifier: Apache-2.0
// The CNI delegate: asks the agent before and after a sandbox gets its network, and when it loses it.
import type { CniReply, CniRequest } from '../../../node-agent/src/support/socket-protocol.ts';
import type { StoredObject } from '../api/objects.ts';
import type { Machine, Sandbox } from './machine.ts';
import { askAgent, type Failure } from './socket.ts';

/** @param gone the delegate is killed, and no caller waits for the reply. */
export function callCni(
  machine: Machine,
  phase: CniRequest['phase'],
  sandbox: Sandbox,
  pod: StoredObject | undefined,
  gone: AbortSignal,
  hidden = false,
): Promise<CniReply | Failure> {
  const request: CniRequest = {
    ...{ op: 'cni', phase, containerId: sandbox.id, netns: sandbox.netns, ifname: 'net1' },
    ...{ namespace: pod?.metadata.namespace ?? '', pod: pod?.metadata.name ?? '', hidden },
    podUid: sandbox.podUid,
  };
  return askAgent(machine, (handlers, closed) => handlers.cni(request, closed), gone);
}
