// SPDX-License-Identifier: Apache-2.0
// One dump of a whole pod that stands still: its containers, its volumes and files, what peers know it by. The checkpointer
// calls it.
import type { Identity, ObjectCounts } from '../../../../crds/src/index.ts';
import type { RdmaDriver } from '../device/driver.ts';
import { packApiVolumes } from '../files/api-volumes.ts';
import { packPodFiles } from '../files/pod-files.ts';
import type { Container } from '../runtime/containers.ts';
import type { ImageStore } from '../transfer/image-store.ts';
import { MANIFEST_VERSION, RDMA_CM_VERSION, type ManifestHeader } from '../transfer/manifest.ts';
import type { AheadDumps } from './ahead-dumps.ts';
import { dumpContainers, type Dumped, type DumpOf, type DumpParts } from './container-dump.ts';
import { flushSharedMounts } from './shared-files.ts';
import { versionsOf } from './versions.ts';

/** A dump that succeeded. */
export interface DumpResult {
  /** The manifest without its list of files. */
  header: ManifestHeader;
  /** What peers know the pod by, read while its device was held. */
  identity: Identity;
  /** RDMA objects of all containers. */
  objects: ObjectCounts;
  /** Sizes in bytes: memory pages, records of the verbs objects, files. */
  bytes: { pages: number; verbs: number; rootfs: number };
}

export interface PodDumpParts extends DumpParts {
  driver: RdmaDriver;
  store: Pick<ImageStore, 'dir' | 'createDirectory'>;
  ahead?: Pick<AheadDumps, 'take'> | undefined;
  version: string;
}

/** @throws AgentError Aborted, CheckpointFailed, UnsupportedObject, UnsupportedRootfs, DiskFull, RuntimeFailed */
export async function dumpPod(
  parts: PodDumpParts,
  pod: { podUid: string; netns: string; containers: readonly Container[] },
  { id, signal, freeze }: Pick<DumpOf, 'id' | 'signal' | 'freeze'>,
): Promise<DumpResult> {
  const { host, store, driver } = parts;
  await packApiVolumes(host, pod.podUid, store.dir(id));
  const ahead = (await parts.ahead?.take(pod.containers, id)) ?? new Map<string, never>();
  // The others have their directories.
  const late = pod.containers.filter((one) => !ahead.has(one.id));
  for (const { name } of late) await store.createDirectory(id, name);
  // All at the same time: the tasks are frozen and the device is held, so that none changes what another reads.
  const stop = new AbortController();
  const stopped = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const packing = packPodFiles(host, {
    podUid: pod.podUid,
    containers: pod.containers,
    dir: store.dir(id),
    signal: stopped,
  });
  // The target must show the same identity.
  const describing = Promise.all([driver.identity(pod.netns), versionsOf(pod.netns, parts)]);
  const others = Promise.all([packing, describing]);
  others.catch(() => undefined);
  let dumped: Dumped;
  let described: Awaited<typeof others>;
  try {
    dumped = await dumpContainers(parts, pod.containers, {
      id,
      signal,
      ahead,
      freeze,
    });
    const pids = pod.containers.flatMap(({ pid }) => pid ?? []);
    await flushSharedMounts(host, pids, signal);
    described = await others;
  } catch (error) {
    stop.abort();
    // Those that wait for a dump that failed before theirs. Nobody else knows of them any more.
    const givenUp = [...ahead.values()].map((one) => one.giveUp());
    await Promise.allSettled([packing, describing, ...givenUp]);
    throw error;
  }
  const [files, [identity, versions]] = described;
  const { containers, objects } = dumped;
  const bytes = { ...dumped.bytes, rootfs: files.bytes };
  const header: ManifestHeader = {
    version: containers.some((one) => one.rdmaCm) ? RDMA_CM_VERSION : MANIFEST_VERSION,
    id,
    createdAt: new Date().toISOString(),
    ...versions,
    containers,
    volumes: files.volumes,
    identity: {
      qpns: identity.qpns ?? [],
      lkeys: identity.lkeys ?? [],
      rkeys: identity.rkeys ?? [],
      gids: identity.gids ?? [],
      ips: identity.ips ?? [],
      macs: identity.macs ?? [],
    },
    bytes,
    objects,
  };
  return { header, identity, objects, bytes };
}
