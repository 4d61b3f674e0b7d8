// SPDX-License-Identifier: Apache-2.0
// The status of a pod as its kubelet reports it.
import { pods } from '../../../kube/src/index.ts';
import { startOrder } from '../../../node-agent/src/callers/request-lookup.ts';
import type { Json, StoredObject } from '../api/objects.ts';
import type { Container } from './machine.ts';

/** @param waitingOf why a container does not run, as a container state, if there is a reason. */
export function podStatus(
  pod: StoredObject,
  containers: readonly Container[],
  waitingOf: (name: string) => object | undefined,
): Json {
  const statusOf = (name: string) => {
    const isStarted = containers.some((one) => one.name === name && one.started);
    const creating = { waiting: { reason: 'ContainerCreating' } };
    const state = isStarted ? { running: {} } : (waitingOf(name) ?? creating);
    return { name, ready: isStarted, started: isStarted, state };
  };
  const all = startOrder(pods.parse(pod)).map((name) => statusOf(name));
  return {
    phase: all.every((one) => one.started) ? 'Running' : (pod.status?.['phase'] ?? 'Pending'),
    containerStatuses: all.filter(({ name }) => !isSidecar(pod, name)),
    initContainerStatuses: all.filter(({ name }) => isSidecar(pod, name)),
  };
}

export const isSidecar = (pod: StoredObject, name: string): boolean =>
  pods.parse(pod).spec.initContainers.some((one) => one.name === name);
