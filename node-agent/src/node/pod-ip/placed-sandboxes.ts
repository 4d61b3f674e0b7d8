// SPDX-License-Identifier: Apache-2.0
// Which addresses this node has given to which pod's sandbox, and where that sandbox is: one small file for each pod. A
// sandbox that is made anew gets the same ones, whatever the kubelet has reported meanwhile, and the node routes them before
// the sandbox has a container. The files outlive a boot.
import { z } from 'zod';
import { KeyedMutex } from '../../../../kube/src/index.ts';
import type { Directory } from '../../support/journal/journal-directory.ts';
import { unlessErrno } from '../../support/errors.ts';
import { exists } from '../../support/exists.ts';

const placedSandbox = z.object({
  /** As the agent opens it. */
  netns: z.string(),
  addresses: z.array(z.string()),
});
export type PlacedSandbox = z.infer<typeof placedSandbox>;

const SUFFIX = '.json';

export class PlacedSandboxes {
  readonly #directory: Directory;
  /** To list the names removes unfinished files. */
  readonly #mutex = new KeyedMutex();

  constructor(directory: Directory) {
    this.#directory = directory;
  }

  /** In the place of the pod's former sandbox. */
  async put(podUid: string, sandbox: PlacedSandbox): Promise<void> {
    await this.#alone(async () => {
      // Makes the directory.
      await this.#directory.names();
      await this.#directory.replace(podUid + SUFFIX, JSON.stringify(sandbox));
    });
  }

  async get(podUid: string): Promise<PlacedSandbox | undefined> {
    const text = await unlessErrno(this.#directory.read(podUid + SUFFIX), 'ENOENT');
    if (text === undefined) return undefined;
    try {
      return placedSandbox.safeParse(JSON.parse(text)).data;
    } catch {
      return undefined;
    }
  }

  /** Forgets pods that are gone and whose sandbox is gone too. */
  async prune(isThere: (podUid: string) => boolean): Promise<void> {
    await this.#alone(async () => {
      for (const name of await this.#directory.names()) {
        const podUid = name.slice(0, -SUFFIX.length);
        if (isThere(podUid)) continue;
        const sandbox = await this.get(podUid);
        if (sandbox && (await exists(sandbox.netns))) continue;
        await this.#directory.remove(name);
      }
    });
  }

  #alone(work: () => Promise<void>): Promise<void> {
    return this.#mutex.run('all', work);
  }
}
