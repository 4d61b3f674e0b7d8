// SPDX-License-Identifier: Apache-2.0
// A directory of small files. `replace` writes a file as a whole; once `replace` or `remove` has resolved, its change
// survives a crash.
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isErrno } from '../errors.ts';
import { syncPath } from '../durable.ts';

export interface Directory {
  names(): Promise<string[]>;
  read(name: string): Promise<string>;
  replace(name: string, text: string): Promise<void>;
  /** Resolves as well if there is no such file. */
  remove(name: string): Promise<void>;
}

/** Suffix of a file that is not complete yet. */
const UNFINISHED = '.new';

/** What an agent has begun before the disk became read-only has to be ended all the same. */
function unlessReadOnly(error: unknown): void {
  if (!isErrno(error, 'EROFS')) throw error;
}

export class DiskDirectory implements Directory {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Makes the directory, and removes files that a crash has left unfinished. */
  async names(): Promise<string[]> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    await syncPath(dirname(this.#dir)).catch(unlessReadOnly);
    const complete: string[] = [];
    for (const name of await readdir(this.#dir)) {
      if (name.endsWith(UNFINISHED))
        await rm(join(this.#dir, name), { force: true }).catch(unlessReadOnly);
      else complete.push(name);
    }
    return complete;
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
