// SPDX-License-Identifier: Apache-2.0
// For tests: what a target's node does when the agent asks it to restore and to resume a pod.
import type { Fabric, Nak } from '../../../crds/src/index.ts';
import type { ConnectionsToReset } from '../node/restore/lost-connections.ts';
import type { RestoreOptions, RestoreOutcome, Restorer } from '../node/restore/restorer.ts';

export const criuFailed = { code: 'RestoreFailed', message: 'CRIU said no' };

interface Named {
  id: string;
  name?: string;
}

/** The node: its lock, its kubelet, its freezer and its CRIU. */
export class TargetNode {
  locked = true;
  /** The held device answers peers. */
  answers = false;
  /** What the source does when it hears that. */
  source: () => void = () => undefined;
  /** NAKs that it has been given. */
  naks: Nak[] = [];
  /** How many containers have been thawed. */
  ran = 0;
  /** How many frozen containers have been killed. */
  killed = 0;
  prepared = 0;
  /** Outcomes of the restores, by container. */
  readonly outcomes: Record<string, RestoreOutcome> = {};
  /** Containers for which the files that the pod shares were unpacked. */
  readonly unpacked: string[] = [];
  /** What it was given of the source's addresses, and in which sandbox. */
  readonly placed: string[] = [];
  placeFails: Error | undefined;
  /** Whether the GID tables have the addresses in time. */
  settles = true;
  prepareFails: Error | undefined;
  freezeFails: Error | undefined;
  /** The files are never unpacked. */
  hangs = false;
  cut = 0;
  /** The agent dies while it resumes the pod, before or after the node has done so. */
  dieAt: 'resume.before' | 'resume.after' | 'thaw.after' | undefined;
  died = Promise.withResolvers<void>();

  async #die(at: string): Promise<void> {
    if (this.dieAt !== at) return;
    this.died.resolve();
    await new Promise(() => undefined);
  }

  /** Those of the connections in the images that the source has lost. */
  lostAddresses: string[] = [];
  /** Those that CRIU was lent, and what was reset at the end. */
  lent: readonly string[] | undefined;
  reset: ConnectionsToReset | undefined;

  readonly restorer = {
    netns: async () => '/run/netns/x',
    placeAddresses: async ({ bundle }: { bundle: string }, { digest }: Fabric) => {
      if (this.placeFails) throw this.placeFails;
      this.placed.push(`${digest} ${bundle}`);
      if (!this.settles) return undefined;
      return [{ interface: 'net1', index: this.placed.length, gid: 'fd00::1' }];
    },
    verifyImages: async () => undefined,
    lostAddresses: async () => this.lostAddresses,
    prepareRestore: async ({ create, podFiles, resets }: RestoreOptions) => {
      this.lent = resets;
      if (this.prepareFails) throw this.prepareFails;
      if (this.hangs) await new Promise(() => undefined);
      this.prepared++;
      this.locked = true;
      this.answers = false;
      this.outcomes[create.container] = 'Restoring';
      if (podFiles) this.unpacked.push(create.container);
      return { ok: true, action: 'restore', imagePath: '', workPath: '', options: [], env: {} };
    },
    identity: async () => ({ qpns: [17] }),
    answerPeers: async (_netns: string, lost: ConnectionsToReset) => {
      this.reset = lost;
      this.answers = true;
      this.source();
      return true;
    },
    resumePod: async (_netns: string, naks: Nak[], lost: ConnectionsToReset) => {
      await this.#die('resume.before');
      this.reset = lost;
      this.locked = false;
      this.naks = [...naks];
      await this.#die('resume.after');
      return { refused: [], failures: [] };
    },
    outcome: async ({ container }: { container: string }) =>
      this.outcomes[container] ?? 'Restoring',
    freezeRestored: async () => {
      if (this.freezeFails) throw this.freezeFails;
    },
    thawRestored: async (all: readonly Named[]) => {
      for (const { name = '' } of all) {
        if (this.outcomes[name] !== 'Frozen') continue;
        this.outcomes[name] = 'Thawed';
        this.ran++;
      }
      await this.#die('thaw.after');
    },
    killFrozen: async ({ name = '' }: Named) => {
      if (this.outcomes[name] !== 'Frozen') return;
      this.outcomes[name] = criuFailed;
      this.killed++;
    },
    killRestore: async () => this.cut++,
  } as unknown as Restorer;
}
