// SPDX-License-Identifier: Apache-2.0
// TCP connections at addresses that a target does not have (docs/adr/0048). CRIU restores them like all others, so that nothing of
// the images has to be altered; for that time the namespace's loopback interface has the addresses. The agent resets the
// connections before a task runs, as their peers would. The lock lets nothing of this out. Every function may be repeated.
import { isIP } from 'node:net';
import {
  addAddress,
  endTcpAt,
  removeAddress,
  type PlainAddress,
} from '../../../../native/addon/index.ts';
import { AgentError, isErrno, reasonOf } from '../../support/errors.ts';
import type { RestoredContainer, RestoredControl } from './restored-container.ts';

const LOOPBACK = 'lo';
/** rtnetlink(7), RT_SCOPE_HOST: no route by which the pod would choose it as its own. */
const HOST_SCOPE = 254;

/** Connections that CRIU has restored and that the pod loses. */
export interface ConnectionsToReset {
  /** Empty: there are none. */
  addresses: readonly string[];
  /** Whose tasks have them. */
  containers: readonly Pick<RestoredContainer, 'id'>[];
}

const onLoopback = (address: string): PlainAddress => ({
  ...{ address, prefix: isIP(address) === 6 ? 128 : 32 },
  ...(isIP(address) === 4 && { scope: HOST_SCOPE }),
});

/** CRIU can bind sockets at the addresses from now on. */
export async function lendAddresses(netns: string, addresses: readonly string[]): Promise<void> {
  for (const address of addresses) {
    try {
      await addAddress({ netns, ifname: LOOPBACK, address: onLoopback(address) });
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    }
  }
}

/**
 * Nothing of the addresses is left in the namespace: what no process has any more, or not yet, included.
 * @throws ENOENT or EINVAL for a namespace that is gone (isGone), and for nothing else; AgentError RuntimeFailed
 */
export async function takeAddressesBack(
  netns: string,
  addresses: readonly string[],
): Promise<void> {
  if (addresses.length === 0) return;
  let failure: unknown;
  await endTcpAt(netns, addresses).catch((error: unknown) => (failure = error));
  // Of a namespace that is gone this says so. What else the kernel may have said before, in the same words, is another matter.
  for (const address of addresses)
    await removeAddress({ netns, ifname: LOOPBACK, address: onLoopback(address) });
  if (failure) throw notReset('that no process has', addresses, failure);
}

/**
 * After Committed, while no task runs and nothing is heard of the pod.
 * @throws AgentError RuntimeFailed; as `takeAddressesBack`
 */
export async function resetLost(
  restored: Pick<RestoredControl, 'resetConnections'>,
  netns: string,
  { addresses, containers }: ConnectionsToReset,
): Promise<void> {
  if (addresses.length === 0) return;
  for (const one of containers) await resetOf(restored, one, addresses);
  await takeAddressesBack(netns, addresses);
}

/** EINVAL or ENOENT of a task that is being reaped would be taken for a namespace that is gone, and the pod stay locked. */
async function resetOf(
  restored: Pick<RestoredControl, 'resetConnections'>,
  container: Pick<RestoredContainer, 'id'>,
  addresses: readonly string[],
): Promise<void> {
  try {
    await restored.resetConnections(container, addresses);
  } catch (error) {
    throw notReset(`of container ${container.id}`, addresses, error);
  }
}

const notReset = (whose: string, addresses: readonly string[], cause: unknown): AgentError =>
  new AgentError(
    'RuntimeFailed',
    `The connections ${whose} at ${addresses.join(', ')} cannot be reset: ${reasonOf(cause).message}`,
    { cause },
  );
