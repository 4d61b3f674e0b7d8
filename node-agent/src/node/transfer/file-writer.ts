// SPDX-License-Identifier: Apache-2.0
// Writes files whose bytes arrive in small pieces. The caller goes on meanwhile; it waits only when much is not written yet.
import { mkdir, open, writeFile, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Gathered before a write: each one costs a switch of threads. */
const WRITE_BYTES = 1 << 20;
/** What may be in memory before the caller has to wait. */
const MAX_UNWRITTEN = 8 << 20;

/** A file that is being written. */
export interface OpenFile {
  /** The bytes must stay as they are. */
  write(some: Buffer): void;
  end(): void;
}

export class FileWriter {
  readonly #directories = new Map<string, Promise<unknown>>();
  readonly #work = new Set<Promise<void>>();
  #unwritten = 0;
  #failure: { error: unknown } | undefined;
  #wake: (() => void) | undefined;

  /** A file whose bytes are all there. It must not exist. */
  whole(file: string, bytes: Buffer): void {
    void this.#begin(bytes.length, async () => {
      await this.#directoryOf(file);
      await writeFile(file, bytes, { mode: 0o600, flag: 'wx' });
    });
  }

  /** A file whose bytes come one after another. It must not exist. */
  open(file: string): OpenFile {
    let gathered: Buffer[] = [];
    let size = 0;
    const opening = this.#directoryOf(file).then(() => open(file, 'wx', 0o600));
    opening.catch(() => undefined);
    // One write at a time, in order.
    let last: Promise<unknown> = opening;
    const flush = (): void => {
      const [buffers, bytes, before] = [gathered, size, last];
      [gathered, size] = [[], 0];
      last = this.#begin(bytes, async () => {
        await before;
        await writeAll(await opening, buffers);
      });
    };
    return {
      write: (some) => {
        gathered.push(some);
        size += some.length;
        if (size >= WRITE_BYTES) flush();
      },
      end: () => {
        if (size > 0) flush();
        const before = last;
        void this.#begin(0, async () => {
          await before.catch(() => undefined);
          await (await opening).close();
        });
      },
    };
  }

  /** @returns undefined if the caller may go on. @throws what writing has thrown */
  drain(): Promise<void> | undefined {
    if (this.#failure) throw this.#failure.error;
    if (this.#unwritten <= MAX_UNWRITTEN) return undefined;
    return new Promise<void>((resolve) => (this.#wake = resolve)).then(() => this.drain());
  }

  /** Once all that was begun has ended. @throws what writing has thrown first */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#work);
    if (this.#failure) throw this.#failure.error;
  }

  #directoryOf(file: string): Promise<unknown> {
    const dir = dirname(file);
    const making = this.#directories.get(dir) ?? mkdir(dir, { recursive: true, mode: 0o700 });
    this.#directories.set(dir, making);
    return making;
  }

  #begin(bytes: number, work: () => Promise<void>): Promise<void> {
    this.#unwritten += bytes;
    const running = work().finally(() => {
      this.#unwritten -= bytes;
      this.#work.delete(running);
      if (this.#unwritten <= MAX_UNWRITTEN) this.#wake?.();
    });
    this.#work.add(running);
    running.catch((error: unknown) => {
      this.#failure ??= { error };
      this.#wake?.();
    });
    return running;
  }
}

/** The kernel may take fewer bytes than it is given. */
async function writeAll(handle: FileHandle, buffers: readonly Buffer[]): Promise<void> {
  let left = buffers;
  for (;;) {
    let { bytesWritten } = await handle.writev(left);
    const rest: Buffer[] = [];
    for (const one of left) {
      if (bytesWritten < one.length) rest.push(one.subarray(bytesWritten));
      bytesWritten = Math.max(bytesWritten - one.length, 0);
    }
    if (rest.length === 0) return;
    left = rest;
  }
}
