// SPDX-License-Identifier: Apache-2.0
// One watch: delivers the changes that its selection matches in order, each some time after it happened.
import { ConnectionError, type WatchEvent } from '../../../kube/src/index.ts';
import type { Process } from '../process.ts';
import type { Timeline } from '../timeline.ts';
import type { Connection } from './connection.ts';
import { selects, type Change } from './store.ts';

export interface Watched {
  readonly kind: string;
  readonly namespace: string | undefined;
  readonly selector: string | undefined;
}

type Item = { event: WatchEvent } | { error: Error } | 'end';

export class Watcher {
  readonly #timeline: Timeline;
  readonly #process: Process;
  readonly #connection: Connection;
  readonly #watched: Watched;
  readonly #queue: Item[] = [];
  #wake: (() => void) | undefined;
  #lastAt = 0;
  #last: WatchEvent | undefined;
  #isOver = false;

  constructor(timeline: Timeline, process: Process, link: Connection, watched: Watched) {
    this.#timeline = timeline;
    this.#process = process;
    this.#connection = link;
    this.#watched = watched;
  }

  get isOver(): boolean {
    return this.#isOver || !this.#process.alive;
  }

  /** A change has happened on the server. */
  notify({ before, after }: Change): void {
    if (this.isOver) return;
    const { kind, namespace, selector } = this.#watched;
    if ((after ?? before)?.kind !== kind) return;
    const was = before !== undefined && selects(before, namespace, selector);
    const is = after !== undefined && selects(after, namespace, selector);
    if (!was && !is) return;
    const event: WatchEvent = is
      ? { type: was ? 'MODIFIED' : 'ADDED', object: after }
      : { type: 'DELETED', object: after ?? before };
    this.#last = event;
    this.#deliver({ event });
  }

  /** Delivers the last event again, as after a reconnect. */
  repeat(): void {
    if (this.#last && !this.isOver) this.#deliver({ event: this.#last });
  }

  /** Breaks the connection. Events under way are lost. */
  break(): void {
    if (this.isOver) return;
    this.#isOver = true;
    this.#timeline.after(
      this.#connection.delay(),
      () => {
        this.#push({ error: new ConnectionError('Unreachable', 'the watch broke') });
      },
      this.#process,
    );
  }

  /** The client closes the watch. */
  close(): void {
    this.#isOver = true;
    this.#push('end');
  }

  async *events(): AsyncGenerator<WatchEvent> {
    for (;;) {
      const item = this.#queue.shift();
      if (item === undefined) {
        await new Promise<void>((resolve) => (this.#wake = resolve));
        continue;
      }
      if (item === 'end') return;
      if ('error' in item) throw item.error;
      yield item.event;
    }
  }

  #deliver(item: Item): void {
    const healsInMs = this.#connection.isCut ? this.#connection.cutUntil - this.#timeline.now : 0;
    const at = Math.max(
      this.#timeline.now + healsInMs + this.#connection.watchDelay(),
      this.#lastAt,
    );
    this.#lastAt = at;
    this.#timeline.after(
      at - this.#timeline.now,
      () => {
        if (!this.#isOver) this.#push(item);
      },
      this.#process,
    );
  }

  #push(item: Item): void {
    this.#queue.push(item);
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
