// SPDX-License-Identifier: Apache-2.0
// A folder of small files, each replaced whole. What `replace` and `remove` have resolved for outlives a crash.
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isErrno } from '../errors.ts';
import { syncPath } from '../durable.ts';

export interface Folder {
  names(): Promise<string[]>;
  read(name: string): Promise<string>;
  replace(name: string, text: string): Promise<void>;
  /** Also of what is not there. */
  remove(name: string): Promise<void>;
}

/** What a replacement is called until it is whole. */
const UNFINISHED = '.new';

export class DiskFolder implements Folder {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Makes the folder, and removes what a crash has left unfinished. */
  async names(): Promise<string[]> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    await syncPath(dirname(this.#dir));
    const whole: string[] = [];
    for (const name of await readdir(this.#dir)) {
      if (name.endsWith(UNFINISHED)) await rm(join(this.#dir, name), { force: true });
      else whole.push(name);
    }
    return whole;
  }

  read(name: string): Promise<string> {
    return readFile(join(this.#dir, name), 'utf8');
  }

  async replace(name: string, text: string): Promise<void> {
    const temporary = join(this.#dir, name + UNFINISHED);
    const handle = await open(temporary, 'w', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, join(this.#dir, name));
    await syncPath(this.#dir);
  }

  async remove(name: string): Promise<void> {
    try {
      await rm(join(this.#dir, name));
      await syncPath(this.#dir);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }
}
