// SPDX-License-Identifier: Apache-2.0
// A pod's containers share one IPC namespace, but CRIU dumps and restores it with each container: the second restore
// would find the first one's objects in its way.
import { sysvipc } from '../../../../native/addon/index.ts';
import { AgentError } from '../../support/errors.ts';
import type { Container } from '../runtime/containers.ts';

/** @throws AgentError UnsupportedObject */
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
