// SPDX-License-Identifier: Apache-2.0
// How the reconcilers of requests with a handover look at one: in its blackout by what watches have brought, as far as that is
// enough, else by what the API server says (blackout-looks.ts).
import type { MigrationRequest, RestoreRequest } from '../../../crds/src/index.ts';
import type { Parts } from '../../../kube/src/index.ts';
import type { Dependencies } from './dependencies.ts';

interface Seen {
  readonly request: MigrationRequest | RestoreRequest;
  /** When the API server was asked; absent: watches have brought it. */
  readonly readAt?: number | undefined;
}

interface Ways<O, E extends { readonly type: string }, S> {
  /** A request in its blackout as watches have brought it; undefined for any other. */
  readonly seen: (key: string) => O | undefined;
  readonly read: Parts<O, E, S>['observe'];
  readonly decide: Parts<O, E, S>['decide'];
}

export function watchedFirst<O extends Seen, E extends { readonly type: string }, S>(
  { looks, clock }: Pick<Dependencies, 'looks' | 'clock'>,
  { seen, read, decide }: Ways<O, E, S>,
): Pick<Parts<O, E, S>, 'idleMs' | 'observe' | 'decide' | 'done'> {
  return {
    idleMs: (key, now) => {
      const observed = seen(key);
      return observed && looks.idleMs(observed.request, decide(observed, now), now);
    },
    observe: async (key, context) => {
      const observed = seen(key);
      const now = clock.now();
      const plan = observed && decide(observed, now);
      if (plan && looks.actsByWatches(observed.request, plan, now)) return observed;
      return read(key, context);
    },
    decide,
    done: ({ request, readAt }) => looks.looked(request, readAt),
  };
}
