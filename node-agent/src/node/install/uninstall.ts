// SPDX-License-Identifier: Apache-2.0
// Takes Sealift off a node again: runtime handler, CNI delegate, programs, files, driver. main.ts calls it in the init
// container of a DaemonSet that is about to be deleted (uninstall-nodes.ts).
import { existsSync } from 'node:fs';
import { rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { labels } from '../../../../crds/src/index.ts';
import { pods, visit, type Api } from '../../../../kube/src/index.ts';
import * as addon from '../../../../native/addon/index.ts';
import { AgentError, unlessErrno } from '../../support/errors.ts';
import { claimedBy, hasEnded } from '../../support/kept-by.ts';
import { namesIn } from '../../support/optional-file.ts';
import type { Host } from '../host/host.ts';
import { GUARDS, Runc } from '../runtime/runc.ts';
import { sealiftContainers } from '../runtime/sealift-containers.ts';
import { deviceThere, DRIVER, unloadUnused, type LoadedModules } from './loaded-modules.ts';

/** @throws AgentError ContainersLeft while pods of the node need the programs: without them no runtime could stop them */
export async function refuseWhileUsed(host: Host, binary: string): Promise<void> {
  const left = await sealiftContainers(host, binary);
  if (left.length === 0) return;
  throw new AgentError(
    'ContainersLeft',
    `${left.length} containers of this node run with Sealift's runtime class (${left.slice(0, 3).join(', ')}). ` +
      'Delete their pods, then run helm uninstall again.',
  );
}

/**
 * Pods of this node reach a moved pod by the node's routes, and the node's IPAM would give its address away. So both stay as
 * long as there is such a pod, on whatever node.
 * @throws AgentError AddressesLeft; the API server's error
 */
export async function refuseWhileKept(api: Pick<Api, 'list'>): Promise<void> {
  const left: string[] = [];
  await visit(api, pods, { labelSelector: labels.podIp }, (pod) => {
    const { namespace, name } = pod.metadata;
    if (!hasEnded(pod) && claimedBy(pod).length > 0) left.push(`${namespace}/${name}`);
  });
  if (left.length === 0) return;
  throw new AgentError(
    'AddressesLeft',
    `${left.length} pods have kept their addresses when they were moved (${left.slice(0, 3).join(', ')}), and every node routes them. ` +
      'Delete them, then run helm uninstall again.',
  );
}

/**
 * Removes files. Images of checkpoints stay, because helm does not delete their CheckpointRequests. All directories are as the
 * agent sees them. Some are mount points, so only their content is removed. Where there is nothing, nothing is asked of a
 * read-only file system.
 * @param o `cniBinDirs`: all that the delegate has been put into
 */
export async function removeFiles(o: {
  readonly installDir: string;
  readonly stateDir: string;
  readonly runDir: string;
  readonly cniBinDirs: readonly string[];
}): Promise<void> {
  for (const directory of o.cniBinDirs)
    for (const name of ['sealift', 'sealift.new'])
      if (existsSync(join(directory, name)))
        // A directory of that name is somebody else's.
        await unlessErrno(rm(join(directory, name), { force: true }), 'ERR_FS_EISDIR');
  for (const name of await namesIn(o.installDir))
    await rm(join(o.installDir, name), { recursive: true, force: true });
  for (const name of await namesIn(o.stateDir)) {
    const path = join(o.stateDir, name);
    if (name === 'checkpoints' && (await namesIn(path)).length > 0) continue;
    await rm(path, { recursive: true, force: true });
  }
  for (const name of await namesIn(o.runDir))
    await rm(join(o.runDir, name), { recursive: true, force: true });
}

/**
 * Removes the node's own directories where nothing is in them any more, and the cgroups of dumps and restores, in which nothing
 * runs: the last restore leaves its own one.
 */
export async function removeEmptyDirectories(
  host: Host,
  directories: readonly string[],
): Promise<void> {
  await new Runc(host).removeGuards();
  for (const directory of [...directories, GUARDS])
    await rmdir(host.path(directory)).catch(() => undefined);
}

/**
 * Unloads the driver, and what was loaded for it, if nothing can need it. Loads the distribution's driver again that it has
 * replaced.
 * @param o `loaded`: by this node's installer. `shared`: other nodes have the same kernel
 * @returns why it stays; undefined if it is gone
 */
export async function unloadDriver(
  o: {
    readonly host: Pick<Host, 'run'>;
    readonly loaded: LoadedModules;
    readonly shared: boolean;
  },
  of: Pick<typeof addon, 'moduleLoaded' | 'deleteModule' | 'rdmaDevices'> = addon,
  proc = '/proc',
): Promise<string | undefined> {
  const { names, replacedDriver } = o.loaded;
  if (o.shared) return 'other nodes of this kernel use it';
  if (of.moduleLoaded(DRIVER)) {
    if (!names.includes(DRIVER) && !replacedDriver) return 'it was there before Sealift';
    const there = await deviceThere(of, proc);
    if (there !== undefined) return there;
    try {
      await of.deleteModule(DRIVER);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
  if (replacedDriver) await o.host.run('modprobe', [DRIVER]);
  else await unloadUnused(names, of);
  return undefined;
}
