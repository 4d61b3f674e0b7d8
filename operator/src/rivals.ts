// SPDX-License-Identifier: Apache-2.0
import type { ApiObject, Resource } from '../../kube/src/index.ts';
import type { World } from './world.ts';

interface ForPod extends ApiObject {
  readonly spec: { readonly podName: string };
}

type Parsed<T> = T extends readonly Resource<infer O>[] ? O : never;

/** Every other request of the given kinds for the same pod, as it is now. */
export async function rivalsOf<T extends readonly Resource<ForPod>[]>(
  world: World,
  request: ForPod,
  resources: T,
  signal: AbortSignal,
): Promise<Parsed<T>[]> {
  const lists = await Promise.all(
    resources.map(async (resource) => {
      const { items } = await world.api.list(resource, {
        namespace: request.metadata.namespace,
        fieldSelector: `spec.podName=${request.spec.podName}`,
        signal,
      });
      return items.map((item) => resource.parse(item) as Parsed<T>);
    }),
  );
  return lists.flat().filter((other) => other.metadata.uid !== request.metadata.uid);
}
