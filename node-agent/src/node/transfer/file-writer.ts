// SPDX-License-Identifier: Apache-2.0
// Writes files whose bytes arrive in small pieces. The caller goes on meanwhile; it waits only when much is not written yet.
import { mkdir, open, writeFile, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Gathered before a write: each one costs a switch of threads. */
const WRITE_BYTES = 1 << 20;
/** What may be in memory before the caller has to wait. */
const MAX_UNWRITTEN = 8 << 20;
/** What a file counts at least. Otherwise thousands of small ones would be open at once, and a process may have few. */
const FILE_BYTES = 64 << 10;

/** A file that is being written. */
export interface OpenFile {
  /** Takes a copy. */
  write(some: Buffer): void;
  end(): void;
}

export class FileWriter {
  readonly #directories = new Map<string, Promise<unknown>>();
  readonly #work = new Set<Promise<void>>();
  /**
   * Blocks that wait for bytes. They are used again and again, and what the connection gives is copied into them: thousands of its
   * small buffers that wait for a write cost the garbage collector more.
   */
  readonly #free: Buffer[] = [];
  #unwritten = 0;
  #failure: { error: unknown } | undefined;
  #wake: (() => void) | undefined;

  /** A file whose bytes are all there. It must not exist. */
  whole(file: string, bytes: Buffer): void {
    void this.#begin(Math.max(bytes.length, FILE_BYTES), async () => {
      await this.#directoryOf(file);
      await writeFile(file, bytes, { mode: 0o600, flag: 'wx' });
    });
  }

  /** A file whose bytes come one after another. It must not exist. */
  open(file: string): OpenFile {
    const opening = this.#directoryOf(file).then(() => open(file, 'wx', 0o600));
    opening.catch(() => undefined);
    // One write at a time, in order.
    let last: Promise<unknown> = opening;
    let block = this.#take();
    let size = 0;
    const flush = (): void => {
      const [full, bytes, before] = [block, size, last];
      [block, size] = [this.#take(), 0];
      last = this.#begin(bytes, async () => {
        await before;
        await writeAll(await opening, full.subarray(0, bytes));
        this.#free.push(full);
      });
    };
    return {
      write: (some) => {
        for (let at = 0; at < some.length;) {
          const copied = some.copy(block, size, at);
          at += copied;
          size += copied;
          if (size === block.length) flush();
        }
      },
      end: () => {
        if (size > 0) flush();
        this.#free.push(block);
        const before = last;
        // Only from here: whoever has many files open, and waits, would wait for itself.
        void this.#begin(FILE_BYTES, async () => {
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

  #take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(WRITE_BYTES);
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
async function writeAll(handle: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, at, bytes.length - at);
    at += bytesWritten;
  }
}
