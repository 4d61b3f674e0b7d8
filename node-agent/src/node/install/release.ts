// SPDX-License-Identifier: Apache-2.0
// Installs a release of the node's programs: runc, CRIU with its plugin and libraries, the shim. A release is a directory
// under releases/, named after a digest of its content; links to it are swapped by rename, so that a program never sees a
// mixture. Containers that run keep the release that they were started with; only the one before the new release is
// kept. main.ts calls it in the init container.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, cp, mkdir, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../support/errors.ts';
import { syncPath } from '../../support/durable.ts';
import { syncTree } from '../host/fsync.ts';
import { digestFiles } from '../transfer/image-digest.ts';

const CURRENT = 'current';
/** The release that was current before: what has begun before the agent was updated may still run from it. */
const PREVIOUS = 'previous';

/**
 * Copies the programs into a new release, syncs it and links it, unless it is the current one.
 * @param bundleDir directory of the programs in the agent's image
 * @param installDir `/opt/sealift` on the host, as the agent sees it
 * @returns the release's name, 16 hexadecimal digits of SHA-256
 */
export async function installRelease(bundleDir: string, installDir: string): Promise<string> {
  const files = await digestFiles(bundleDir);
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file.path}\0${file.sha256}\n`);
  const release = hash.digest('hex').slice(0, 16);
  const dir = join(installDir, 'releases', release);
  const current = await linkOf(join(installDir, CURRENT));
  const temporary = `${dir}.new`;
  if (current !== `releases/${release}`) {
    await rm(temporary, { recursive: true, force: true });
    await mkdir(join(installDir, 'releases'), { recursive: true });
    await cp(bundleDir, temporary, { recursive: true, preserveTimestamps: true });
    // After a loss of power the link must not lead to files that were not written.
    await syncTree(temporary);
    await rm(dir, { recursive: true, force: true });
    await rename(temporary, dir);
    await syncPath(join(installDir, 'releases'));
    if (current !== undefined) await swapLink(join(installDir, PREVIOUS), current);
    await swapLink(join(installDir, CURRENT), `releases/${release}`);
  }
  for (const name of await readdir(dir)) {
    await swapLink(join(installDir, name), `${CURRENT}/${name}`);
  }
  await syncPath(installDir);
  const previous = await linkOf(join(installDir, PREVIOUS));
  const keep = [release, previous?.replace('releases/', '')];
  for (const name of await readdir(join(installDir, 'releases'))) {
    if (!keep.includes(name)) {
      await rm(join(installDir, 'releases', name), { recursive: true, force: true });
    }
  }
  return release;
}

/** A release is there, whole: of this version or of an earlier one. @param installDir as the agent sees it */
export const hasRelease = (installDir: string): boolean => existsSync(join(installDir, CURRENT));

/**
 * Installs the CNI delegate by rename, because containerd may be running the old one at this moment.
 * @param installDir and `cniBinDir`, which is there, as the agent sees them
 */
export async function installCni(installDir: string, cniBinDir: string): Promise<void> {
  const target = join(cniBinDir, 'sealift');
  await copyFile(join(installDir, 'bin', 'sealift'), `${target}.new`);
  await rename(`${target}.new`, target);
}

async function linkOf(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'EINVAL')) return undefined;
    throw error;
  }
}

async function swapLink(path: string, to: string): Promise<void> {
  if ((await linkOf(path)) === to) return;
  await rm(`${path}.new`, { force: true });
  await symlink(to, `${path}.new`);
  await rename(`${path}.new`, path);
}
