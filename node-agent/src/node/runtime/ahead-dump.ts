// SPDX-License-Identifier: Apache-2.0
// A dump whose programs have been started while its container still runs: CRIU waits in the plugin, before it reads or touches
// anything of a task, for a file (native/criu-plugin/ahead.h). Starting them takes a third of a dump's time (docs/adr/0033).
import { watch } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { exists } from '../../support/exists.ts';

/** The plugin gives up later. */
const OLD_MS = 60_000;

export class AheadDump {
  readonly #file: string;
  readonly #ended: Promise<void>;
  readonly #parts: { interrupt: AbortController; kill: AbortController };
  readonly #started = performance.now();
  #isOver = false;
  #isBegun = false;

  /**
   * @param file for which CRIU waits, as the agent sees it. It is not there.
   * @param run starts the programs and resolves when they have ended, or throws as `Runc.checkpoint` does. `interrupt` aborts
   * when the images are not needed any more, `kill` only before CRIU has begun.
   */
  constructor(
    file: string,
    run: (signals: { interrupt: AbortSignal; kill: AbortSignal }) => Promise<void>,
  ) {
    this.#file = file;
    this.#parts = { interrupt: new AbortController(), kill: new AbortController() };
    const { interrupt, kill } = this.#parts;
    this.#ended = run({ interrupt: interrupt.signal, kill: kill.signal }).finally(() => {
      this.#isOver = true;
    });
    this.#ended.catch(() => undefined);
  }

  /** Removes what an earlier attempt has left. Before the programs are started. */
  static async clear(file: string): Promise<void> {
    for (const path of [file, waitsFile(file)]) await rm(path, { force: true });
  }

  /** @returns whether CRIU waits, as soon as it does, or at the limit */
  async waits(limitMs: number): Promise<boolean> {
    const seen = Promise.withResolvers<void>();
    // It tells of the file; what was there before is looked for afterwards.
    const watcher = watch(dirname(this.#file), { persistent: false }, () => {
      void exists(waitsFile(this.#file)).then((is) => is && seen.resolve());
    });
    watcher.on('error', () => seen.resolve());
    const timer = setTimeout(() => seen.resolve(), limitMs);
    try {
      if (!(await this.#isWaiting()))
        await Promise.race([seen.promise, this.#ended.catch(() => undefined)]);
      return await this.#isWaiting();
    } finally {
      clearTimeout(timer);
      watcher.close();
    }
  }

  /** Whether it may be begun: CRIU waits, and will for as long as a dump may take. */
  async isUsable(): Promise<boolean> {
    return performance.now() - this.#started < OLD_MS && (await this.#isWaiting());
  }

  /** Lets CRIU go on. The tasks are frozen. @throws as `Runc.checkpoint` */
  async begin(signal: AbortSignal | undefined): Promise<void> {
    const { interrupt } = this.#parts;
    const onAbort = (): void => interrupt.abort(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
    this.#isBegun = true;
    try {
      await writeFile(this.#file, '', { mode: 0o600 });
      await this.#ended;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /**
   * Ends the programs of a dump that was not begun; one that was ends by the signal that `begin` has got. A CRIU that was not
   * seen to wait may have begun by itself: it is asked, since a kill would leave its code in the tasks.
   */
  async giveUp(): Promise<void> {
    if (this.#isBegun) return;
    const { interrupt, kill } = this.#parts;
    if (await this.#isWaiting()) kill.abort();
    else interrupt.abort();
    await this.#ended.catch(() => undefined);
  }

  async #isWaiting(): Promise<boolean> {
    return !this.#isOver && (await exists(waitsFile(this.#file)));
  }
}

const waitsFile = (file: string): string => `${file}.waits`;
