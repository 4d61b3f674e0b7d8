// SPDX-License-Identifier: Apache-2.0
// Tells when the runtime starts a restored container, which is the last thing before the decision: sealift-runc makes a file
// in the container's bundle then (docs/adr/0021).
import { watch, type FSWatcher } from 'node:fs';
import type { Host } from '../host/host.ts';
import { STARTED, type RestoredContainer } from './restored-container.ts';

/** Longer than a create takes to return. The target's reconciler looks now and then anyway. */
const WATCH_MS = 60_000;

export class StartWatches {
  readonly #host: Pick<Host, 'path'>;
  readonly #watches = new Map<string, FSWatcher>();

  constructor(host: Pick<Host, 'path'>) {
    this.#host = host;
  }

  /** Calls once when the container is started. Never throws: a bundle that is gone is not started. */
  follow({ id, bundle }: RestoredContainer, started: () => void): void {
    if (this.#watches.has(id)) return;
    let watcher: FSWatcher;
    try {
      watcher = watch(this.#host.path(bundle), { persistent: false });
    } catch {
      return;
    }
    const timer = setTimeout(() => end(), WATCH_MS).unref();
    const end = (): void => {
      clearTimeout(timer);
      watcher.close();
      this.#watches.delete(id);
    };
    this.#watches.set(id, watcher);
    watcher.on('error', end);
    watcher.on('change', (_event, name) => {
      if (name !== STARTED) return;
      end();
      started();
    });
  }
}
