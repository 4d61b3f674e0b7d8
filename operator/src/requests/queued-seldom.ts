// SPDX-License-Identifier: Apache-2.0
// How the reconciler of migrations looks at a request that waits: seldom (queue-looks.ts).
import type { MigrationRequest } from '../../../crds/src/index.ts';
import type { Parts } from '../../../kube/src/index.ts';
import type { Dependencies } from './dependencies.ts';

interface Read {
  readonly request: MigrationRequest;
  /** Absent: watches have brought it. */
  readonly readAt?: number | undefined;
}

/** The same reconciler, but for requests that wait and were looked at a short time ago. */
export function queuedSeldom<
  O extends Read,
  P extends Pick<Parts<O, never, unknown>, 'idleMs' | 'done'>,
>({ watched, moves, queueLooks }: Dependencies, parts: P): P {
  return {
    ...parts,
    idleMs: (key: string, now: number) => {
      const request = watched?.migrations.get(key);
      const idleMs = request?.status?.queue && queueLooks.idleMs(request, moves.look(request), now);
      return idleMs ?? parts.idleMs?.(key, now);
    },
    done: (observed: O) => {
      if (observed.readAt !== undefined) queueLooks.looked(observed.request, observed.readAt);
      parts.done?.(observed);
    },
  };
}
