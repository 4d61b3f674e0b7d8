// SPDX-License-Identifier: Apache-2.0
// In which directories of CNI plugins the installer has put the delegate, and which directories it has made for that. An
// upgrade of the chart may name another directory (agent.cniBinDir); the uninstall cleans all of them. A file in the agent's
// state directory.
import { existsSync } from 'node:fs';
import { mkdir, rmdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { isErrno } from '../../support/errors.ts';
import { noteIn } from '../../support/optional-file.ts';
import type { Host } from '../host/host.ts';

const CniDirectories = z.array(
  z.object({
    path: z.string(),
    /** Directories that were not there before, each before the one that it is in. */
    made: z.array(z.string()),
  }),
);
type CniDirectories = z.infer<typeof CniDirectories>;

const fileIn = (stateDir: string): string => join(stateDir, 'cni-directories.json');

const noted = async (stateDir: string): Promise<CniDirectories> =>
  (await noteIn(fileIn(stateDir), CniDirectories)) ?? [];

/** @returns false: somebody else has made it at this moment */
async function makeOne(path: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST') && (await stat(path).catch(() => undefined))?.isDirectory())
      return false;
    throw error;
  }
}

/**
 * Makes a directory of the host, and those that it is in, where there are none; of a link that leads to nothing, what it leads to.
 * One at a time: asked for all of them, Node.js says ENOENT of a read-only file system.
 * @returns what it has made, each before the one that it is in
 * @throws the errno of a node that lets nobody make it
 */
export async function makeDirectory(host: Host, path: string): Promise<string[]> {
  const missing: string[] = [];
  for (let at = host.resolve(path); at !== '/' && !existsSync(host.path(at)); at = dirname(at))
    missing.push(at);
  const made: string[] = [];
  for (const one of missing.toReversed()) if (await makeOne(host.path(one))) made.unshift(one);
  return made;
}

/** Makes the directory where there is none, and writes it down. @throws as makeDirectory */
export async function makeCniDirectory(host: Host, stateDir: string, path: string): Promise<void> {
  const made = await makeDirectory(host, path);
  const earlier = await noted(stateDir);
  if (earlier.some((one) => one.path === path)) return;
  await writeFile(fileIn(stateDir), JSON.stringify([...earlier, { path, made }]), { flush: true });
}

/** Paths on the host of all directories that the delegate may be in. */
export async function cniDirectories(stateDir: string, current: string): Promise<string[]> {
  return [...new Set([...(await noted(stateDir)).map(({ path }) => path), current])];
}

/** @returns removes the directories that the installer has made and in which nothing is left. The note goes before that */
export async function cniDirectoryRemover(
  host: Host,
  stateDir: string,
): Promise<() => Promise<void>> {
  const made = (await noted(stateDir)).flatMap((one) => one.made);
  return async () => {
    for (const path of made) await rmdir(host.path(path)).catch(() => undefined);
  };
}
