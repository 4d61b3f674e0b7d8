// SPDX-License-Identifier: Apache-2.0
// Directories of the node as tar files: writable layers, emptyDir volumes, /dev/shm. Packed and unpacked by the
// host's tar, which keeps owners, modes, times, devices, links and extended attributes.
import { createReadStream } from 'node:fs';
import { lstat, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import { AgentError, isErrno } from '../../support/errors.ts';
import type { Host } from '../host/host.ts';
import { isInside } from '../transfer/manifest.ts';

const TAR_TIMEOUT_MS = 60_000;
const XATTRS = ['--xattrs', '--xattrs-include=*', '--numeric-owner'];

/** Packs a directory of the host into a file of the host; resolves with its size in bytes. */
export async function packDir(
  host: Host,
  dir: string,
  file: string,
  signal?: AbortSignal,
): Promise<number> {
  const args = ['--create', ...XATTRS, '--sparse', '--directory', dir, '--file', file, '.'];
  await host.check('tar', args, { timeoutMs: TAR_TIMEOUT_MS, signal });
  return (await stat(host.path(file))).size;
}

/** Unpacks a file of the host into an existing directory of the host. */
export async function unpackDir(host: Host, file: string, dir: string): Promise<void> {
  const args = [
    '--extract',
    ...XATTRS,
    '--preserve-permissions',
    '--directory',
    dir,
    '--file',
    file,
  ];
  await host.check('tar', args, { timeoutMs: TAR_TIMEOUT_MS });
}

/** Whether a directory of the host has anything in it; a missing one has nothing. */
export async function hasContent(host: Host, dir: string): Promise<boolean> {
  try {
    return (await readdir(host.path(dir))).length > 0;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

/** What an overlay's upper directory says about the layers below it. */
export interface OverlayMarkers {
  /** Deleted paths: character devices 0/0. */
  whiteouts: string[];
  /** Directories that hide whatever is below. */
  opaque: string[];
}

interface TarHeader {
  name: string;
  type: string;
  devmajor: number;
  devminor: number;
  pax?: unknown;
}

/** @throws AgentError UnsupportedRootfs for marks that need the layers' own paths. */
function mark(marks: OverlayMarkers, header: TarHeader): void {
  const name = header.name.replace(/^\.\//, '').replace(/\/$/, '');
  if (name === '' || name === '.') return;
  if (!isInside(name)) throw new AgentError('ImageCorrupt', `the writable layer holds ${name}`);
  if (header.type === 'character-device' && !header.devmajor && !header.devminor) {
    marks.whiteouts.push(name);
  }
  const attributes = (header.pax ?? {}) as Record<string, string>;
  for (const space of ['trusted', 'user']) {
    const overlay = `SCHILY.xattr.${space}.overlay.`;
    if (attributes[`${overlay}opaque`] === 'y') marks.opaque.push(name);
    for (const kind of ['redirect', 'metacopy']) {
      if (`${overlay}${kind}` in attributes) {
        throw new AgentError(
          'UnsupportedRootfs',
          `${name} of the writable layer uses overlay's ${kind}: mount overlays with ` +
            'redirect_dir=off and metacopy=off on the nodes (the kernel default of most distributions)',
        );
      }
    }
  }
}

/** Reads the marks out of a packed upper directory. @throws AgentError UnsupportedRootfs, ImageCorrupt */
export async function readOverlayMarkers(file: string): Promise<OverlayMarkers> {
  const marks: OverlayMarkers = { whiteouts: [], opaque: [] };
  const extract = tar.extract();
  const feeding = pipeline(createReadStream(file), extract);
  const reading = (async () => {
    for await (const entry of extract) {
      mark(marks, entry.header);
      entry.resume();
    }
  })();
  await Promise.all([feeding, reading]);
  return marks;
}

/**
 * Applies a packed upper directory to a container's root while that is mounted: through the mount, because an
 * upper directory must not be changed beneath it. Deletions first, then the files.
 */
export async function applyLayer(host: Host, file: string, rootfs: string): Promise<void> {
  const { whiteouts, opaque } = await readOverlayMarkers(host.path(file));
  for (const name of whiteouts) await removeInside(host.path(rootfs), name);
  for (const name of opaque) await emptyInside(host.path(rootfs), name);
  const list = `${file}.whiteouts`;
  await writeFile(host.path(list), whiteouts.map((name) => `./${name}\n`).join(''));
  try {
    const exclude = ['--anchored', '--no-wildcards', `--exclude-from=${list}`];
    const attributes = ['--xattrs-exclude=trusted.overlay.*', '--xattrs-exclude=user.overlay.*'];
    const args = ['--extract', ...XATTRS, ...attributes, '--preserve-permissions', ...exclude];
    args.push('--directory', rootfs, '--file', file);
    await host.check('tar', args, { timeoutMs: TAR_TIMEOUT_MS });
  } finally {
    await rm(host.path(list), { force: true });
  }
}

/** Removes a path below root. A link on the way could lead out of the container's root: then nothing is done. */
async function removeInside(root: string, name: string): Promise<void> {
  if (await throughDirectories(root, name)) {
    await rm(join(root, name), { recursive: true, force: true });
  }
}

async function emptyInside(root: string, name: string): Promise<void> {
  if (!(await throughDirectories(root, `${name}/.`))) return;
  for (const child of await readdir(join(root, name))) {
    await rm(join(root, name, child), { recursive: true, force: true });
  }
}

async function throughDirectories(root: string, name: string): Promise<boolean> {
  let path = root;
  for (const part of name.split('/').slice(0, -1)) {
    path = join(path, part);
    try {
      if (!(await lstat(path)).isDirectory()) return false;
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return false;
      throw error;
    }
  }
  return true;
}
