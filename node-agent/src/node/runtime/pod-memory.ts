// SPDX-License-Identifier: Apache-2.0
// How much memory a pod has that no file backs. A dump writes `anon`, and of `shmem` what is the pod's own.
import type { Host } from '../host/host.ts';
import { Cgroup } from './cgroup.ts';
import type { Container } from './containers.ts';

/** In bytes, of all these containers. One whose cgroup is gone has none. */
export async function podMemory(
  host: Pick<Host, 'path'>,
  containers: readonly Pick<Container, 'cgroup'>[],
): Promise<{ anon: number; shmem: number }> {
  const sum = { anon: 0, shmem: 0 };
  for (const { cgroup } of containers) {
    if (cgroup === undefined) continue;
    const { anon, shmem } = await new Cgroup(host.path(cgroup)).memory();
    sum.anon += anon;
    sum.shmem += shmem;
  }
  return sum;
}
