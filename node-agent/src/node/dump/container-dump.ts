// SPDX-License-Identifier: Apache-2.0
// Runs CRIU for the containers of a frozen pod, one after another, and reads what it has written. The checkpointer calls it.
import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentError } from '../../support/errors.ts';
import type { Host } from '../host/host.ts';
import { hasRdmaCm, uverbsPath } from '../runtime/bundle.ts';
import type { AheadDump } from '../runtime/ahead-dump.ts';
import type { Container } from '../runtime/containers.ts';
import type { Runc } from '../runtime/runc.ts';
import type { ImageStore } from '../transfer/image-store.ts';
import type { ManifestHeader } from '../transfer/manifest.ts';
import { readVerbs } from './verbs-image.ts';

export interface DumpParts {
  host: Host;
  runc: Pick<Runc, 'checkpoint'>;
  store: Pick<ImageStore, 'dir'>;
  workRoot: string;
  socketPath: string;
}

export interface DumpOf {
  /** Directory of the images. Those of the containers exist. */
  id: string;
  signal: AbortSignal | undefined;
  /** Dumps that were started before, by the container's id. */
  ahead?: ReadonlyMap<string, Pick<AheadDump, 'begin' | 'giveUp' | 'isUsable'>>;
  /** Freezes a container's tasks. */
  freeze: (container: Container) => Promise<void>;
}

/** What CRIU has written, of all containers. */
export interface Dumped {
  containers: ManifestHeader['containers'];
  /** RDMA objects. */
  objects: { qp: number; cq: number; mr: number; srq: number; ah: number };
  /** Sizes in bytes: memory pages, records of the verbs objects. */
  bytes: { pages: number; verbs: number };
}

/** @throws AgentError Aborted, CheckpointFailed, UnsupportedObject, DiskFull, RuntimeFailed */
export async function dumpContainers(
  parts: DumpParts,
  all: readonly Container[],
  { id, signal, freeze, ahead }: DumpOf,
): Promise<Dumped> {
  const { host, runc, store, workRoot, socketPath } = parts;
  const bytes = { pages: 0, verbs: 0 };
  const objects = { qp: 0, cq: 0, mr: 0, srq: 0, ah: 0 };
  const containers: ManifestHeader['containers'] = [];
  for (const container of all) {
    if (signal?.aborted) throw new AgentError('Aborted', 'The images are not needed any more.');
    const imagePath = join(store.dir(id), container.name);
    const workPath = join(workRoot, id, container.name);
    await mkdir(host.path(workPath), { recursive: true, mode: 0o700 });
    const env = { SEALIFT_SOCKET: socketPath };
    const started = ahead?.get(container.id);
    try {
      if (await started?.isUsable()) await started?.begin(signal);
      else {
        await started?.giveUp();
        await runc.checkpoint(container, { imagePath, workPath, env, signal });
      }
    } catch (error) {
      // The guard freezes the tasks again, unless it was killed with CRIU.
      await freeze(container);
      throw error;
    }
    const verbs = await readVerbs(host.path(imagePath));
    bytes.pages += await pagesBytes(host.path(imagePath));
    bytes.verbs += verbs.bytes;
    for (const kind of Object.keys(objects) as (keyof typeof objects)[])
      objects[kind] += verbs.objects[kind];
    // CRIU restores the node's bind mount, whatever name of the device its processes have opened it by.
    const uverbs = uverbsPath(container.spec) ?? verbs.uverbs;
    containers.push({
      name: container.name,
      ...(uverbs === undefined ? {} : { uverbs }),
      ...(hasRdmaCm(container.spec) ? { rdmaCm: true } : {}),
    });
  }
  return { containers, objects, bytes };
}

/** Size of CRIU's memory pages in a directory of images, in bytes. */
async function pagesBytes(dir: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(dir)) {
    if (/^pages-\d+\.img$/.test(name)) bytes += (await stat(join(dir, name))).size;
  }
  return bytes;
}
