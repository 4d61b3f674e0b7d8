// SPDX-License-Identifier: Apache-2.0
// The scheduler: binds each new pod to one of the nodes that its affinity names, or reports that there is no room.
import type { StoredObject } from './api/objects.ts';
import type { Store } from './api/store.ts';
import { asUser } from './user.ts';
import type { Timeline } from './timeline.ts';

const defaultNode = 'b';

export class Scheduler {
  readonly #store: Store;
  readonly #timeline: Timeline;
  /** No node has room. */
  isFull = false;

  constructor(store: Store, timeline: Timeline) {
    this.#store = store;
    this.#timeline = timeline;
  }

  /** Starts to watch for pods. */
  start(): void {
    this.#store.onChange(({ before, after }) => {
      if (after?.kind === 'Pod' && !before) this.#schedule(after);
    });
  }

  #choose(spec: string): string {
    const named = [...spec.matchAll(/"values":\["([^"]+)"\]/g)].map(([, name]) => name);
    const [only = defaultNode] = named;
    if (named.length < 2) return only;
    return named[Math.floor(this.#timeline.jitter(0, named.length - 0.001))] ?? only;
  }

  #schedule({ metadata, spec }: StoredObject): void {
    if (spec?.['nodeName'] !== undefined) return;
    const key = { kind: 'Pod', namespace: metadata.namespace, name: metadata.name };
    const by = { by: 'scheduler' };
    this.#timeline.after(this.#timeline.jitter(5, 100), () => {
      asUser(() => {
        const nodeName = this.#choose(JSON.stringify(spec));
        if (!this.isFull) {
          const binding = { metadata: { uid: metadata.uid }, spec: { nodeName } };
          return this.#store.merge(key, binding, by);
        }
        const lastTransitionTime = new Date(this.#timeline.now).toISOString();
        const reason = { status: 'False', reason: 'Unschedulable', lastTransitionTime };
        const conditions = [{ type: 'PodScheduled', ...reason }];
        return this.#store.merge(key, { status: { phase: 'Pending', conditions } }, by);
      });
    });
  }
}
