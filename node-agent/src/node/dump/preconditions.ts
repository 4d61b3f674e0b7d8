// SPDX-License-Identifier: Apache-2.0
// What must hold of a pod before the agent dumps it. The checkpointer and the source's reconciler call these checks;
// none of them changes anything.
import { sysvipc } from '../../../../native/addon/index.ts';
import { AgentError } from '../../support/errors.ts';
import type { Container } from '../runtime/containers.ts';

type Named = Pick<Container, 'id' | 'name'>;

/**
 * A pod is moved with all of its containers or not at all. Pure.
 * @param found the containers that run
 * @param names of those that the target pod will be made with
 * @throws AgentError ContainerNotRunning, UnsupportedObject for a container beyond those
 */
export function checkComplete(found: readonly Named[], names: readonly string[]): void {
  const [first] = incompleteness(found, names);
  if (first) throw first;
}

/** All that `checkComplete` would refuse. Pure. */
export function* incompleteness(
  found: readonly Named[],
  names: readonly string[],
): Generator<AgentError> {
  for (const name of names) {
    if (!found.some((one) => one.name === name)) yield notRunning(name);
  }
  for (const { name } of found) {
    if (names.includes(name)) continue;
    yield new AgentError(
      'UnsupportedObject',
      `Container ${name} is not in the pod's list of containers (an ephemeral one of kubectl debug?) and cannot ` +
        'be moved. Create a new request when it has ended.',
    );
  }
}

/**
 * The pod runs the same containers as when the journal's entry was written. Pure.
 * @throws AgentError ContainerNotRunning if one of them has ended since or was restarted
 */
export function checkUnchanged(
  found: readonly Named[],
  recorded: readonly { id?: string | undefined; name: string }[],
): void {
  const changed = recorded.find(({ id }) => !found.some((one) => one.id === id));
  if (changed) throw notRunning(changed.name);
}

function notRunning(name: string): AgentError {
  return new AgentError(
    'ContainerNotRunning',
    `Container ${name} does not run, and a pod is moved with all of its containers. Create a new request when it runs.`,
  );
}

/**
 * A pod's containers share one IPC namespace. CRIU dumps and restores that namespace with each container, so the second
 * restore would collide with the objects of the first.
 * @param count the objects of an IPC namespace, by its path
 * @throws AgentError UnsupportedObject
 */
export async function checkIpc(
  containers: readonly Pick<Container, 'pid'>[],
  count = sysvipc,
): Promise<void> {
  const pid = containers[0]?.pid;
  if (containers.length < 2 || pid === undefined) return;
  const found = await count(`/proc/${pid}/ns/ipc`);
  const kinds = { shm: 'shared memory segments', sem: 'semaphore sets', msg: 'message queues' };
  const objects = (Object.keys(kinds) as (keyof typeof kinds)[])
    .filter((kind) => found[kind] > 0)
    .map((kind) => `${found[kind]} ${kinds[kind]}`);
  if (objects.length === 0) return;
  throw new AgentError(
    'UnsupportedObject',
    `The pod has System V IPC objects (${objects.join(', ')}), which can be moved only with a pod of one container. ` +
      'Use files in /dev/shm or an emptyDir instead, or remove unused objects (ipcs, ipcrm).',
  );
}
