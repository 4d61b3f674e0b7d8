// SPDX-License-Identifier: Apache-2.0
// The files that travel with a pod: the writable layer of each container, the emptyDir volumes, /dev/shm. The kubelet of
// the target mounts or makes all others. The checkpointer packs them into the directory of images, the restorer unpacks
// them.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentError } from '../../support/errors.ts';
import { exists } from '../../support/exists.ts';
import { namesIn } from '../../support/optional-file.ts';
import type { Host } from '../host/host.ts';
import { isInMemory } from '../host/in-memory.ts';
import { sandboxCgroup, sandboxShm, type Container } from '../runtime/containers.ts';
import { applyLayer, hasContent, packDir, unpackDir } from './archive.ts';
import { findOverlay } from './overlay.ts';
import { sizeBelow } from './size.ts';

/**
 * Names in the directory of images: `<container>/rootfs.tar`, `volumes.d/<name>.tar`, `shm.tar`. No container's name has a
 * dot: one may be called `volumes`.
 */
const LAYER = 'rootfs.tar';
const VOLUMES = 'volumes.d';
const SHM = 'shm.tar';

const emptyDirs = (podUid: string): string =>
  `/var/lib/kubelet/pods/${podUid}/volumes/kubernetes.io~empty-dir`;

/**
 * Packs the pod's files.
 * @param of `dir` is the directory of images on the host; the signal ends the packing
 * @returns size in bytes and the names of the emptyDir volumes
 * @throws AgentError UnsupportedRootfs, RuntimeFailed, Aborted
 */
export async function packPodFiles(
  host: Host,
  of: {
    podUid: string;
    containers: readonly Container[];
    dir: string;
    signal?: AbortSignal | undefined;
  },
): Promise<{ bytes: number; volumes: string[] }> {
  let bytes = 0;
  const mounts = await host.mountinfo();
  for (const container of of.containers) {
    const { upperdir } = findOverlay(mounts, join(container.bundle, 'rootfs'));
    if (!(await hasContent(host, upperdir))) continue;
    bytes += await packDir(host, upperdir, join(of.dir, container.name, LAYER), {
      what: `the writable layer of container ${container.name}`,
      signal: of.signal,
    });
  }
  const volumes: string[] = [];
  for (const name of await emptyDirNames(host, of.podUid)) {
    volumes.push(name);
    const from = join(emptyDirs(of.podUid), name);
    if (!(await hasContent(host, from))) continue;
    await mkdir(host.path(join(of.dir, VOLUMES)), { recursive: true, mode: 0o700 });
    bytes += await packDir(host, from, join(of.dir, VOLUMES, `${name}.tar`), {
      what: `the emptyDir volume ${name}`,
      signal: of.signal,
    });
  }
  const [first] = of.containers;
  if (first && (await hasContent(host, sandboxShm(first.sandboxId)))) {
    bytes += await packDir(host, sandboxShm(first.sandboxId), join(of.dir, SHM), {
      what: "the pod's /dev/shm",
      signal: of.signal,
    });
  }
  return { bytes, volumes };
}

/**
 * About how much `packPodFiles` would write, in bytes; undefined for a pod with very many files.
 * @throws AgentError UnsupportedRootfs
 */
export async function podFilesSize(
  host: Host,
  podUid: string,
  containers: readonly Container[],
): Promise<number | undefined> {
  const mounts = await host.mountinfo();
  const layers = containers.map(
    ({ bundle }) => findOverlay(mounts, join(bundle, 'rootfs')).upperdir,
  );
  const volumes = (await emptyDirNames(host, podUid)).map((name) => join(emptyDirs(podUid), name));
  const shm = containers.slice(0, 1).map(({ sandboxId }) => sandboxShm(sandboxId));
  return sizeBelow([...layers, ...volumes, ...shm].map((path) => host.path(path)));
}

/** The new pod's container whose files are unpacked. */
export interface UnpackTarget {
  podUid: string;
  sandboxId: string;
  /** Directory of its bundle on the host. Its root is mounted. */
  bundle: string;
  /** Its name. */
  container: string;
  /** Ends the unpacking. */
  signal?: AbortSignal | undefined;
}

/** Unpacks a container's writable layer into its root. @throws AgentError UnsupportedRootfs, ImageCorrupt, RuntimeFailed */
export async function unpackLayer(host: Host, dir: string, to: UnpackTarget): Promise<void> {
  const { container, signal } = to;
  const layer = join(dir, to.container, LAYER);
  if (!(await exists(host.path(layer)))) return;
  const what = `the writable layer of container ${container}`;
  await applyLayer(host, layer, join(to.bundle, 'rootfs'), { what, signal });
}

/**
 * Unpacks the files that the pod's containers share: emptyDir volumes and /dev/shm. Called once, before a container of
 * the new pod has them open.
 * @throws AgentError RestoreFailed if the new pod lacks a volume; RuntimeFailed
 */
export async function unpackPodFiles(host: Host, dir: string, to: UnpackTarget): Promise<void> {
  const { sandboxId, signal } = to;
  // Files in memory are the new pod's: charged to the agent they would stay so for as long as the pod lives, and use up its limit.
  const sandbox = await sandboxCgroup(host, sandboxId);
  const cgroupFor = async (into: string): Promise<string | undefined> =>
    (await isInMemory(host.path(into))) ? sandbox : undefined;
  for (const name of await volumeTars(host, join(dir, VOLUMES))) {
    const into = join(emptyDirs(to.podUid), name);
    if (!(await exists(host.path(into)))) {
      throw new AgentError(
        'RestoreFailed',
        `The new pod has no emptyDir volume ${name}. Give it the same volumes as the checkpointed pod.`,
      );
    }
    const what = `the emptyDir volume ${name}`;
    const how = { what, signal, cgroup: await cgroupFor(into) };
    await unpackDir(host, join(dir, VOLUMES, `${name}.tar`), into, how);
  }
  const shm = join(dir, SHM);
  if (!(await exists(host.path(shm)))) return;
  const into = sandboxShm(sandboxId);
  const how = { what: "the pod's /dev/shm", signal, cgroup: await cgroupFor(into) };
  await unpackDir(host, shm, into, how);
}

async function emptyDirNames(host: Host, podUid: string): Promise<string[]> {
  return (await namesIn(host.path(emptyDirs(podUid)))).sort();
}

async function volumeTars(host: Host, dir: string): Promise<string[]> {
  const names = (await namesIn(host.path(dir))).sort();
  return names.filter((name) => name.endsWith('.tar')).map((name) => name.slice(0, -4));
}
