// SPDX-License-Identifier: Apache-2.0
// Applies the fabric lock in a pod's network namespace. Every call is idempotent.
import { isErrno, AgentError } from '../../support/errors.ts';
import { lockCommands, TABLE, unlockCommands, type LockKind } from './rules.ts';

/** Runs nft commands in a network namespace as one transaction: native/addon's `nft`. */
export type Nft = (netns: string, commands: string) => Promise<string>;

export class NetworkLock {
  readonly #nft: Nft;

  constructor(nft: Nft) {
    this.#nft = nft;
  }

  /** @throws AgentError LockFailed; ENOENT or EINVAL: see isGone */
  async lock(netns: string, kind: LockKind): Promise<void> {
    // A source's tasks run until they are frozen. Elsewhere nobody runs who could be told of an error.
    const isSilent = kind === 'roce';
    try {
      await this.#apply(netns, lockCommands(kind, isSilent));
    } catch (error) {
      if (!isSilent || isGone(error)) throw error;
      // A kernel without nft_queue: an error from sendto is better than a packet that leaves.
      await this.#apply(netns, lockCommands(kind));
    }
  }

  /** A namespace that is gone needs no unlocking. @throws AgentError LockFailed */
  async unlock(netns: string): Promise<void> {
    try {
      await this.#apply(netns, unlockCommands());
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

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
      throw new AgentError('LockFailed', `nftables in the pod's network namespace: ${message}`, {
        cause: error,
      });
    }
  }
}

/** Whether a network namespace's path leads nowhere, or to a file on which it is mounted no more. */
export function isGone(error: unknown): boolean {
  return isErrno(error, 'ENOENT') || isErrno(error, 'EINVAL');
}
