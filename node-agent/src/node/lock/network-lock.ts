// SPDX-License-Identifier: Apache-2.0
// Applies the network lock in a pod's network namespace. Checkpointer, Restorer and the CNI handler call it. Every method
// may be repeated. A namespace is named by a path that the agent can open.
import { isErrno, AgentError } from '../../support/errors.ts';
import { lockCommands, TABLE, unlockCommands, type LockKind } from './rules.ts';

/** Runs nft commands in a network namespace as one transaction: native/addon's `nft`. */
export type Nft = (netns: string, commands: string) => Promise<string>;

export class NetworkLock {
  readonly #nft: Nft;

  constructor(nft: Nft) {
    this.#nft = nft;
  }

  /**
   * Replaces any lock by this kind.
   * @param resetsFrom addresses from which TCP resets pass
   * @throws AgentError LockFailed; ENOENT or EINVAL for a namespace that is gone (isGone)
   */
  async lock(netns: string, kind: LockKind, resetsFrom: readonly string[] = []): Promise<void> {
    // A source's tasks run until they are frozen. Under a total lock no task runs that could see an error.
    const dropSilently = kind === 'roce';
    try {
      await this.#apply(netns, lockCommands(kind, { dropSilently, resetsFrom }));
    } catch (error) {
      if (!dropSilently || isGone(error)) throw error;
      // The kernel has no nft_queue. An error from sendto() is better than a packet that leaves the namespace.
      await this.#apply(netns, lockCommands(kind, { resetsFrom }));
    }
  }

  /** Removes any lock. Does nothing for a namespace that is gone. @throws AgentError LockFailed */
  async unlock(netns: string): Promise<void> {
    try {
      await this.#apply(netns, unlockCommands());
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

  /** Whether either kind of lock is in place. @throws AgentError LockFailed; ENOENT or EINVAL */
  async isLocked(netns: string): Promise<boolean> {
    const tables = await this.#apply(netns, 'list tables\n');
    return tables.split('\n').some((line) => line.trim() === `table inet ${TABLE}`);
  }

  async #apply(netns: string, commands: string): Promise<string> {
    try {
      return await this.#nft(netns, commands);
    } catch (error) {
      if (isGone(error)) throw error;
      const message = error instanceof Error ? error.message : String(error);
      throw new AgentError(
        'LockFailed',
        `The agent cannot change nftables in network namespace ${netns}: ${message}. Check that the kernel has nf_tables.`,
        {
          cause: error,
        },
      );
    }
  }
}

/** Whether an error means that a network namespace is gone: its path does not exist, or no namespace is mounted there. */
export function isGone(error: unknown): boolean {
  return isErrno(error, 'ENOENT') || isErrno(error, 'EINVAL');
}
