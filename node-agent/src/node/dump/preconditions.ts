// SPDX-License-Identifier: Apache-2.0
// A pod is moved with every container that it has, or not at all. Pure.
import { sysvipc } from '../../../../native/addon/index.ts';
import { AgentError } from '../../support/errors.ts';
import type { Container } from '../runtime/containers.ts';

type Named = Pick<Container, 'id' | 'name'>;

/** @throws AgentError ContainerNotRunning, UnsupportedObject */
export function checkComplete(found: readonly Named[], names: readonly string[]): void {
  const missing = names.find((name) => !found.some((one) => one.name === name));
  if (missing !== undefined) throw notRunning(missing);
  const extra = found.find((one) => !names.includes(one.name));
  if (!extra) return;
  throw new AgentError(
    'UnsupportedObject',
    `container ${extra.name} is none that the pod would be restarted with (kubectl debug?): ` +
      'ask again when it has ended',
  );
}

/** @throws AgentError ContainerNotRunning if one of them has ended since it was written down, or was started anew. */
export function checkUnchanged(
  found: readonly Named[],
  noted: readonly { id?: string | undefined; name: string }[],
): void {
  const changed = noted.find(({ id }) => !found.some((one) => one.id === id));
  if (changed) throw notRunning(changed.name);
}

function notRunning(name: string): AgentError {
  return new AgentError(
    'ContainerNotRunning',
    `container ${name} does not run: every container of the pod has to; ask again when it does`,
  );
}

/**
 * A pod's containers share one IPC namespace, but CRIU dumps and restores it with each container: the second restore
 * would find the first one's objects in its way.
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
  const told = (Object.keys(kinds) as (keyof typeof kinds)[])
    .filter((kind) => found[kind] > 0)
    .map((kind) => `${found[kind]} ${kinds[kind]}`);
  if (told.length === 0) return;
  throw new AgentError(
    'UnsupportedObject',
    `the pod has System V IPC objects (${told.join(', ')}), which can be moved only with a pod of one container: ` +
      'use files in /dev/shm or an emptyDir instead, or remove what is not used any more (ipcs, ipcrm)',
  );
}
