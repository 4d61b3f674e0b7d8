// SPDX-License-Identifier: Apache-2.0
// The applications that move: their first pods, and which later pods are copies of them.
import { annotations, RUNTIME_CLASS } from '../../crds/src/index.ts';
import type { StoredObject } from './api/objects.ts';
import type { Store } from './api/store.ts';
import { rdmaContainer, type Machine } from './node/machine.ts';
import { namespace } from './user.ts';

/** The name of the first pod, and of the application that it runs. */
export const app = 'app';

/** More pods that move at the same time, by name: on which node each runs first. The first node has one too many to move at once. */
export const furtherApps = { 'app-2': 'a', 'app-3': 'a', 'app-4': 'b' } as const;

/** Makes a pod that already runs on a node. @param name of the pod and of its application @param count of containers, 1 to 3; the first of several is a sidecar */
export function makeRunningPod(
  store: Store,
  machine: Machine,
  name: string,
  count: number,
  podAnnotations: Readonly<Record<string, string>>,
): void {
  const sidecars = count > 1 ? ['side'] : [];
  const containers = count > 2 ? [rdmaContainer, 'more'] : [rdmaContainer];
  const running = (container: string) => ({
    ...{ name: container, ready: true, started: true, state: { running: {} } },
  });
  const labels = { app: 'x' };
  const pod = store.create(
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace, labels, annotations: { ...podAnnotations } },
      spec: {
        nodeName: machine.name,
        runtimeClassName: RUNTIME_CLASS,
        containers: containers.map((container) => ({ name: container })),
        initContainers: sidecars.map((container) => ({ name: container, restartPolicy: 'Always' })),
      },
      status: {
        phase: 'Running',
        containerStatuses: containers.map(running),
        initContainerStatuses: sidecars.map(running),
      },
    },
    { by: 'user' },
  );
  const sandbox = machine.newSandbox(pod.metadata.uid, name);
  Object.assign(sandbox, {
    connected: true,
    device: { name: 'rxe0', held: false, receivesDatagrams: false },
  });
  for (const container of [...sidecars, ...containers]) {
    const memory = { application: name, done: 0 };
    Object.assign(machine.newContainer(sandbox, container), {
      state: 'Running',
      started: true,
      memory,
    });
  }
}

/**
 * The application that a pod's containers are copies of. A moved pod is the same application, and so is a pod that
 * replaces a source that was lost. Any other restored pod is an application of its own.
 */
export class Applications {
  readonly #store: Store;
  readonly #byPodUid = new Map<string, string>();

  constructor(store: Store) {
    this.#store = store;
    store.onChange(({ before, after }) => {
      // Later the pod has no annotations of its request any more.
      if (after?.kind === 'Pod' && !before)
        this.#byPodUid.set(after.metadata.uid, this.#find(after));
    });
  }

  /** @param podUid of a pod that exists or has existed */
  of(podUid: string): string | undefined {
    return this.#byPodUid.get(podUid);
  }

  #find({ metadata }: StoredObject): string {
    const requestUid = metadata.annotations?.[annotations.requestUid];
    if (requestUid === undefined) return metadata.name;
    const restore = this.#request('RestoreRequest', requestUid);
    // The migration whose lost source this restore replaces.
    const replaced = restore?.metadata.annotations?.[annotations.requestUid];
    const migration = this.#request('MigrationRequest', replaced ?? requestUid);
    const source = migration?.status?.['source'] as { podUID?: string } | undefined;
    return this.#byPodUid.get(source?.podUID ?? '') ?? `copy-${requestUid}`;
  }

  #request(kind: string, uid: string): StoredObject | undefined {
    return this.#store.all(kind).find(({ metadata }) => metadata.uid === uid);
  }
}
