// SPDX-License-Identifier: Apache-2.0
// How a source falls silent after Committed: for good, but for resets of TCP connections that do not move. The checkpointer
// calls it. Both functions may be repeated.
import { withFaults } from '../../../../kube/src/index.ts';
import { endTcpAt } from '../../../../native/addon/index.ts';
import { reasonOf, type Failure } from '../../support/errors.ts';
import { isGone } from '../lock/network-lock.ts';
import type { CheckpointerParts } from './checkpointer-parts.ts';

/** A namespace that is gone needs nothing. @param resets addresses from which TCP resets pass @throws AgentError LockFailed */
export async function silence(
  { lock, driver }: Pick<CheckpointerParts, 'lock' | 'driver'>,
  netns: string,
  resets: readonly string[],
): Promise<void> {
  try {
    await withFaults('source.silence', () => lock.lock(netns, 'total', resets));
  } catch (error) {
    if (isGone(error)) return;
    throw error;
  }
  await withFaults('source.hide', async () => driver.hide(netns, await driver.interfaces(netns)));
}

/** Ends the connections at the addresses, with a reset to each peer. @returns why that has failed */
export async function resetPeers(
  netns: string,
  addresses: readonly string[],
  endTcp = endTcpAt,
): Promise<Failure | undefined> {
  if (addresses.length === 0) return undefined;
  try {
    await endTcp(netns, addresses);
    return undefined;
  } catch (error) {
    return isGone(error) ? undefined : reasonOf(error);
  }
}
