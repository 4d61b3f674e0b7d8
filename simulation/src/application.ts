// SPDX-License-Identifier: Apache-2.0
// The application that moves: its first pod, and which later pods are copies of it.
import { annotations, RUNTIME_CLASS } from '../../crds/src/index.ts';
import type { StoredObject } from './api/objects.ts';
import type { Store } from './api/store.ts';
import { rdmaContainer, type Machine } from './node/machine.ts';
import { namespace } from './user.ts';

/** The name of the first pod, and of the application that it runs. */
export const app = 'app';

/** Makes a pod that already runs on a node. @param count of containers, 1 to 3; the first of several is a sidecar */
export function makeRunningPod(
  store: Store,
  machine: Machine,
  count: number,
  podAnnotations: Readonly<Record<string, string>>,
): void {
  const sidecars = count > 1 ? ['side'] : [];
  const containers = count > 2 ? [rdmaContainer, 'more'] : [rdmaContainer];
  const running = (name: string) => ({
    ...{ name, ready: true, started: true, state: { running: {} } },
  });
  const labels = { app: 'x' };
  const pod = store.create(
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: app, namespace, labels, annotations: { ...podAnnotations } },
      spec: {
        nodeName: machine.name,
        runtimeClassName: RUNTIME_CLASS,
        containers: containers.map((name) => ({ name })),
        initContainers: sidecars.map((name) => ({ name, restartPolicy: 'Always' })),
      },
      status: {
        phase: 'Running',
        containerStatuses: containers.map(running),
        initContainerStatuses: sidecars.map(running),
      },
    },
    { by: 'user' },
  );
  const sandbox = machine.newSandbox(pod.metadata.uid, app);
  Object.assign(sandbox, { connected: true, device: { name: 'rxe0', held: false } });
  for (const name of [...sidecars, ...containers]) {
    const memory = { application: app, done: 0 };
    Object.assign(machine.newContainer(sandbox, name), { state: 'Running', started: true, memory });
  }
}

/**
 * The application that a pod's containers are copies of. A moved pod is the same application, and so is a pod that
 * replaces a source that was lost. Any other restored pod is an application of its own.
 */
export function applicationOf(store: Store, pod: StoredObject): string {
  const requestUid = pod.metadata.annotations?.[annotations.requestUid];
  if (requestUid === undefined) return app;
  const madeBy = ({ metadata }: StoredObject): boolean => metadata.uid === requestUid;
  const restore = store.all('RestoreRequest').find(madeBy);
  if (restore?.metadata.annotations?.[annotations.requestUid]) return app;
  const isCopy = pod.metadata.annotations?.[annotations.restore] !== undefined;
  const migration = store.all('MigrationRequest').find(madeBy);
  return isCopy || !migration ? `copy-${requestUid}` : app;
}
