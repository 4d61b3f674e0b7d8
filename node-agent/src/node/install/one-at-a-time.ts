// SPDX-License-Identifier: Apache-2.0
// Work that only one node of the cluster may do at a time, such as restarting its container runtime: a Lease.
import { LeaderElector, type Api, type Clock, type Logger } from '../../../../kube/src/index.ts';

/** @returns what runs work while this node has the Lease. It waits for the Lease for as long as it takes. */
export function oneAtATime(o: {
  readonly api: Api;
  readonly log: Logger;
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly clock?: Clock;
}): (work: () => Promise<void>) => Promise<void> {
  return async (work) => {
    const done = new AbortController();
    let failure: unknown;
    let failed = false;
    const { api, log, namespace, name, clock } = o;
    // A node that dies here gives the Lease up after half a minute; a restart under way does not depend on the Lease.
    const lease = new LeaderElector({
      api,
      log,
      namespace,
      name,
      identity: o.node,
      ...(clock ? { clock } : {}),
    });
    await lease.run(async () => {
      try {
        await work();
      } catch (error) {
        failure = error;
        failed = true;
      } finally {
        done.abort();
      }
    }, done.signal);
    if (failed) throw failure;
  };
}
