// SPDX-License-Identifier: Apache-2.0
// Takes Sealift off all nodes before helm deletes the chart's objects. The chart's pre-delete hook calls it. It lets the
// DaemonSet's pods run `uninstall` and then idle: Kubernetes does that one node after another, and reports when it is done.
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { isNotFound, type Api, type Logger, type Resource } from '../../../../kube/src/index.ts';

const Container = z.looseObject({ name: z.string() });
const DaemonSet = z.object({
  metadata: z.looseObject({ name: z.string(), generation: z.number().default(0) }),
  spec: z.looseObject({
    template: z.looseObject({
      spec: z.looseObject({ containers: z.array(Container), initContainers: z.array(Container) }),
    }),
  }),
  status: z
    .looseObject({
      observedGeneration: z.number().default(0),
      desiredNumberScheduled: z.number().default(0),
      updatedNumberScheduled: z.number().default(0),
      numberAvailable: z.number().default(0),
    })
    .prefault({}),
});
type DaemonSet = z.infer<typeof DaemonSet>;

export const daemonSets: Resource<DaemonSet> = {
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  plural: 'daemonsets',
  namespaced: true,
  parse: (json) => DaemonSet.parse(json),
};

/** The pods' containers with other arguments. Pure. */
export function uninstalling(of: DaemonSet): object {
  const spec = of.spec.template.spec;
  const initContainers = spec.initContainers.map((one) => ({ ...one, args: ['uninstall'] }));
  // Without mounts: the runtime would make the directories again that have just been removed.
  const idling = { args: ['idle'], volumeMounts: [] };
  const containers = spec.containers.map((one) => ({ ...one, ...idling }));
  return { spec: { template: { spec: { containers, initContainers } } } };
}

/** Every node's pod is of the new kind and runs: its init container has ended well. Pure. */
export function isDone({ metadata, status }: Pick<DaemonSet, 'metadata' | 'status'>): boolean {
  return (
    status.observedGeneration >= metadata.generation &&
    status.updatedNumberScheduled >= status.desiredNumberScheduled &&
    status.numberAvailable >= status.desiredNumberScheduled
  );
}

/** Resolves when every node is done, or the DaemonSet is gone. The Job's deadline ends it otherwise. */
export async function uninstallNodes(
  api: Api,
  log: Logger,
  o: { readonly namespace: string; readonly name: string; readonly everyMs?: number },
): Promise<void> {
  const { namespace, name } = o;
  try {
    const before = await api.get(daemonSets, namespace, name);
    await api.merge(daemonSets, namespace, name, uninstalling(before));
    for (;;) {
      const now = await api.get(daemonSets, namespace, name);
      if (isDone(now)) return;
      const { status } = now;
      const { updatedNumberScheduled: updated, desiredNumberScheduled: desired } = status;
      log.info({ updated, available: status.numberAvailable, desired }, 'waiting for the nodes');
      await sleep(o.everyMs ?? 3000);
    }
  } catch (error) {
    if (!isNotFound(error)) throw error;
    log.info({ name }, 'there is no such DaemonSet: nothing to take off the nodes');
  }
}
