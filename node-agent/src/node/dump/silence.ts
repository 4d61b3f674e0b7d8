// SPDX-License-Identifier: Apache-2.0
// How a source falls silent after Committed: for good, but for resets of TCP connections that do not move. The checkpointer
// calls it. Both functions may be repeated.
import { withFaults } from '../../../../kube/src/index.ts';
import { endTcpAt } from '../../../../native/addon/index.ts';
import { reasonOf, type Failure } from '../../support/errors.ts';
import { isGone } from '../lock/network-lock.ts';
import type { CheckpointerParts } from './checkpointer-parts.ts';

/**
 * A namespace that is gone needs nothing.
 * @param resets addresses from which TCP resets pass
 * @returns why none passes: the namespace is silent all the same
 * @throws AgentError LockFailed
 */
export async function silence(
  { lock, driver }: Pick<CheckpointerParts, 'lock' | 'driver'>,
  netns: string,
  resets: readonly string[] = [],
): Promise<Failure | undefined> {
  let failure: Failure | undefined;
  try {
    failure = await withFaults('source.silence', () => lockTotally(lock, netns, resets));
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
  await withFaults('source.hide', async () => driver.hide(netns, await driver.interfaces(netns)));
  return failure;
}

/** No reset is worth a source that answers beside its target. @returns why none passes */
async function lockTotally(
  lock: CheckpointerParts['lock'],
  netns: string,
  resets: readonly string[],
): Promise<Failure | undefined> {
  try {
    await lock.lock(netns, 'total', resets);
    return undefined;
  } catch (error) {
    if (resets.length === 0 || isGone(error)) throw error;
    await lock.lock(netns, 'total');
    return reasonOf(error);
  }
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
