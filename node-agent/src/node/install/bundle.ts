// SPDX-License-Identifier: Apache-2.0
// Puts the node's bundle (runc, CRIU with its plugin and libraries, wrapper) in place atomically: a folder per
// content under releases/, and links that are swapped by rename. What runs keeps the release that it started
// from; the one before the last is removed.
import { createHash } from 'node:crypto';
import {
  copyFile,
  cp,
  mkdir,
  readdir,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../support/errors.ts';
import { syncPath } from '../../support/durable.ts';
import { syncTree } from '../host/durable.ts';
import { digestFiles } from '../transfer/pack.ts';

const CURRENT = 'current';

/** CRIU's settings for containers of Sealift pods; found by environment. */
const criuConfig = [
  '# Of containers of Sealift pods. The agent has a lock of its own, which covers more and lasts longer.',
  'network-lock skip',
  '',
].join('\n');

/** @returns the release's name, a digest of its content. */
export async function installBundle(bundleDir: string, installDir: string): Promise<string> {
  const files = await digestFiles(bundleDir);
  const hash = createHash('sha256').update(criuConfig);
  for (const file of files) hash.update(`${file.path}\0${file.sha256}\n`);
  const release = hash.digest('hex').slice(0, 16);
  const dir = join(installDir, 'releases', release);
  const former = await linkOf(join(installDir, CURRENT));
  const temporary = `${dir}.new`;
  if (former !== `releases/${release}`) {
    await rm(temporary, { recursive: true, force: true });
    await mkdir(join(installDir, 'releases'), { recursive: true });
    await cp(bundleDir, temporary, { recursive: true, preserveTimestamps: true });
    await mkdir(join(temporary, 'etc'), { recursive: true });
    await writeFile(join(temporary, 'etc', 'criu.conf'), criuConfig, { flush: true });
    // A link that outlives a power cut must not lead to files that do not.
    await syncTree(temporary);
    await rm(dir, { recursive: true, force: true });
    await rename(temporary, dir);
    await syncPath(join(installDir, 'releases'));
    await swapLink(join(installDir, CURRENT), `releases/${release}`);
  }
  for (const name of await readdir(dir)) {
    await swapLink(join(installDir, name), `${CURRENT}/${name}`);
  }
  await syncPath(installDir);
  const keep = [release, former?.replace('releases/', '')];
  for (const name of await readdir(join(installDir, 'releases'))) {
    if (!keep.includes(name)) {
      await rm(join(installDir, 'releases', name), { recursive: true, force: true });
    }
  }
  return release;
}

/** The CNI delegate; the kubelet may be running the old one at this moment. */
export async function installCni(installDir: string, cniBinDir: string): Promise<void> {
  const target = join(cniBinDir, 'sealift');
  await mkdir(cniBinDir, { recursive: true });
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
