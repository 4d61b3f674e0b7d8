// SPDX-License-Identifier: Apache-2.0
// For tests of the target: the node that it is restored on, as a few flags.
import type { Restorer } from '../restore/restorer.ts';

/** The node: its lock, its kubelet and its CRIU. */
export class Node {
  locked = true;
  /** How often the pod's tasks have been let go. */
  ran = 0;
  killed = 0;
  prepared = 0;
  log: 'nothing' | 'failed' | 'finished' = 'nothing';
  prepareFails: Error | undefined;
  /** The files are never unpacked. */
  hangs = false;
  cut = 0;
  /** The agent dies in the release, before or after it. */
  dieAt: 'release.before' | 'release.after' | undefined;
  died = Promise.withResolvers<void>();

  async #die(at: string): Promise<void> {
    if (this.dieAt !== at) return;
    this.died.resolve();
    await new Promise(() => undefined);
  }

  readonly restorer = {
    netns: async () => '/run/netns/x',
    verify: async () => undefined,
    prepare: async () => {
      if (this.prepareFails) throw this.prepareFails;
      if (this.hangs) await new Promise(() => undefined);
      this.prepared++;
      this.locked = true;
      this.log = 'nothing';
      return { ok: true, action: 'restore', imagePath: '', workPath: '', options: [], env: {} };
    },
    identity: async () => ({ qpns: [17] }),
    release: async () => {
      await this.#die('release.before');
      this.locked = false;
      await this.#die('release.after');
    },
    failureOf: async () =>
      this.log === 'failed' ? { code: 'RestoreFailed', message: 'CRIU said no' } : undefined,
    cut: async () => this.cut++,
    released: async () => this.log === 'finished',
  } as unknown as Restorer;
}
