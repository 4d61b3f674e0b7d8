// SPDX-License-Identifier: Apache-2.0
// Images for a runc that was started before they are there (docs/adr/0037): a directory below the restore's work directory,
// with a FIFO where runc looks for the first of them. runc waits there; sealift-runc lets it go on (native/shim/src/ahead.h).
import { link, lstat, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { unlessErrno } from '../../support/errors.ts';
import type { Host } from '../host/host.ts';

/** Name of the directory. */
export const AHEAD = 'ahead';
/** runc reads it last before it starts CRIU (libcontainer/criu_linux.go, Restore()). */
const FIRST = 'descriptors.json';
const READY = `${FIRST}.ready`;

export class AheadImages {
  readonly #host: Pick<Host, 'path' | 'check'>;

  constructor(host: Pick<Host, 'path' | 'check'>) {
    this.#host = host;
  }

  /**
   * Leaves a directory as it is for which runc may wait already.
   * @param workPath on the host
   * @returns the directory's path on the host
   * @throws AgentError RuntimeFailed; Error of the system
   */
  async make(workPath: string): Promise<string> {
    const dir = join(workPath, AHEAD);
    if (await this.#waits(dir)) return dir;
    await rm(this.#host.path(dir), { recursive: true, force: true });
    await mkdir(this.#host.path(dir), { recursive: true, mode: 0o700 });
    await this.#host.check('mkfifo', ['--mode=600', join(dir, FIRST)]);
    return dir;
  }

  /**
   * Links the images into the directory, whatever an earlier attempt has left there. CRIU opens them in the container's mount
   * namespace, where a symbolic link leads nowhere.
   * @param images on the host, whole
   * @returns the directory's path on the host; undefined if nobody waits there, or they cannot be linked: runc is started with
   * the images' own directory then
   */
  async link(images: string, workPath: string): Promise<string | undefined> {
    const dir = join(workPath, AHEAD);
    if (!(await this.#waits(dir))) return undefined;
    const [from, to] = [this.#host.path(images), this.#host.path(dir)];
    try {
      const linking = (await readdir(from)).map(async (name) => {
        const path = join(to, name === FIRST ? READY : name);
        await rm(path, { force: true });
        await link(join(from, name), path);
      });
      // All have ended before another attempt is made.
      const failed = (await Promise.allSettled(linking)).some(
        ({ status }) => status === 'rejected',
      );
      return failed ? undefined : dir;
    } catch {
      return undefined;
    }
  }

  async #waits(dir: string): Promise<boolean> {
    const found = await unlessErrno(lstat(this.#host.path(join(dir, FIRST))), 'ENOENT');
    return found?.isFIFO() ?? false;
  }
}
