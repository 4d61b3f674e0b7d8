// SPDX-License-Identifier: Apache-2.0
// Which kernel modules this node's installer has loaded since the boot, so that the uninstall takes those and no others out
// again. A file in the agent's run directory, which ends with the boot as modules do.
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import * as addon from '../../../../native/addon/index.ts';
import { isErrno } from '../../support/errors.ts';
import { namesIn, textOf } from '../../support/optional-file.ts';

const LoadedModules = z.object({
  /** Names of modules that were not there before. */
  names: z.array(z.string()),
  /** The distribution's rdma_rxe was there, and gave way to Sealift's. */
  replacedDriver: z.boolean(),
});
export type LoadedModules = z.infer<typeof LoadedModules>;

export const nothingLoaded: LoadedModules = { names: [], replacedDriver: false };

export const DRIVER = 'rdma_rxe';

/** The driver, what it depends on, and what that depends on; each before those that it uses, as they can be unloaded. */
export const driverModules: readonly string[] = [
  ...[DRIVER, 'rdma_ucm', 'rdma_cm', 'iw_cm', 'ib_cm', 'ib_uverbs', 'ib_core'],
  ...['ip6_udp_tunnel', 'udp_tunnel'],
];

export const presentModules = (): string[] =>
  driverModules.filter((name) => addon.moduleLoaded(name));

const fileIn = (runDir: string): string => join(runDir, 'driver-loaded');

/** What an installer of this boot has written down. */
export async function loadedModules(runDir: string): Promise<LoadedModules> {
  const text = await textOf(fileIn(runDir));
  if (text === undefined) return nothingLoaded;
  // An agent of an earlier version wrote an empty file for the driver alone.
  if (text === '') return { names: [DRIVER], replacedDriver: false };
  return LoadedModules.parse(JSON.parse(text));
}

/**
 * Writes down what has been loaded since, besides what earlier runs in this boot have loaded.
 * @param before what was there: `presentModules`
 */
export async function noteLoaded(
  runDir: string,
  before: readonly string[],
  replacedDriver: boolean,
  present = presentModules(),
): Promise<void> {
  const earlier = await loadedModules(runDir);
  const names = present.filter((name) => !before.includes(name));
  const noted: LoadedModules = {
    names: [...new Set([...earlier.names, ...names])],
    replacedDriver: earlier.replacedDriver || replacedDriver,
  };
  if (noted.names.length > 0 || noted.replacedDriver)
    await writeFile(fileIn(runDir), JSON.stringify(noted));
}

/** Unloads those of the modules that nobody uses; others stay. */
export async function unloadUnused(
  names: readonly string[],
  of: Pick<typeof addon, 'deleteModule'> = addon,
): Promise<void> {
  for (const name of driverModules.filter((one) => names.includes(one))) {
    try {
      await of.deleteModule(name);
    } catch (error) {
      const isUsed = isErrno(error, 'EWOULDBLOCK') || isErrno(error, 'EAGAIN');
      if (!isUsed && !isErrno(error, 'EBUSY') && !isErrno(error, 'ENOENT')) throw error;
    }
  }
}

/**
 * An RDMA device of any network namespace, as a sentence: unloading a driver removes every device of it, also those that
 * nobody has open.
 */
export async function deviceThere(
  of: Pick<typeof addon, 'rdmaDevices'> = addon,
  proc = '/proc',
  isOurs: (name: string) => boolean = () => false,
): Promise<string | undefined> {
  const seen = new Set<number>();
  for (const pid of (await namesIn(proc)).filter((name) => /^\d+$/.test(name))) {
    const netns = `${proc}/${pid}/ns/net`;
    const inode = await stat(netns).then(
      ({ ino }) => ino,
      () => undefined,
    );
    // The process has ended, or another one of its namespace was asked about.
    if (inode === undefined || seen.has(inode)) continue;
    seen.add(inode);
    const devices = await of.rdmaDevices(netns).catch(() => []);
    const first = devices.find(({ name }) => !isOurs(name));
    if (first)
      return `RDMA device ${first.name} is there, in the network namespace of process ${pid}`;
  }
  return undefined;
}
