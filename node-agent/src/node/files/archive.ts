// SPDX-License-Identifier: Apache-2.0
// Directories of the host as tar files: writable layers, emptyDir volumes, /dev/shm. The host's tar packs and unpacks them;
// it keeps owners, modes, times, devices, links and extended attributes. pod-files.ts calls this; all paths are the
// host's.
import { createReadStream } from 'node:fs';
import { lstat, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import { AgentError, isErrno } from '../../support/errors.ts';
import type { Host } from '../host/host.ts';
import { isInside } from '../transfer/manifest.ts';

export interface TarOptions {
  /** What is packed or unpacked, for the message of a failure. */
  what: string;
  signal?: AbortSignal | undefined;
  /** A cgroup of the host in which tar runs: what it writes to a tmpfs is charged to that. Absent: the agent's own. */
  cgroup?: string | undefined;
}

const XATTRS = ['--xattrs', '--xattrs-include=*', '--numeric-owner'];

/**
 * Packs a directory into a file.
 * @param what it is, for the message of a failure
 * @param signal ends tar: the caller's deadline
 * @returns the file's size in bytes
 * @throws AgentError RuntimeFailed, Aborted
 */
export async function packDir(
  host: Host,
  dir: string,
  file: string,
  { what, signal }: TarOptions,
): Promise<number> {
  const args = ['--create', ...XATTRS, '--sparse', '--directory', dir, '--file', file, '.'];
  await runTar(host, args, { what: `cannot pack ${what}`, signal });
  return (await stat(host.path(file))).size;
}

/** Unpacks a file into an existing directory. @throws AgentError RuntimeFailed */
export async function unpackDir(
  host: Host,
  file: string,
  dir: string,
  { what, signal, cgroup }: TarOptions,
): Promise<void> {
  const args = [
    '--extract',
    ...XATTRS,
    '--preserve-permissions',
    '--directory',
    dir,
    '--file',
    file,
  ];
  await runTar(host, args, { what: `cannot unpack ${what}`, signal, cgroup });
}

/** Without the cgroup, as one that is just being removed, it runs where it is. */
const IN_CGROUP = '{ echo 0 >"$0/cgroup.procs"; } 2>/dev/null; exec "$@"';

/** tar has no time limit of its own: how long it may take is up to the request's deadlines. */
async function runTar(
  host: Host,
  args: readonly string[],
  { what, signal, cgroup }: TarOptions,
): Promise<void> {
  try {
    if (cgroup === undefined) await host.check('tar', args, { signal });
    else await host.check('sh', ['-c', IN_CGROUP, cgroup, 'tar', ...args], { signal });
  } catch (error) {
    if (!(error instanceof AgentError) || error.code !== 'RuntimeFailed') throw error;
    throw new AgentError(error.code, `The agent ${what}: ${error.message}`, { cause: error });
  }
}

/** Whether a directory exists and is not empty. */
export async function hasContent(host: Host, dir: string): Promise<boolean> {
  try {
    return (await readdir(host.path(dir))).length > 0;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

/** What an upper directory of overlayfs hides of the layers below it (kernel documentation, filesystems/overlayfs). */
export interface OverlayMarkers {
  /** Whiteouts, character devices 0/0: deleted paths, relative to the root. */
  whiteouts: string[];
  /** Opaque directories, relative to the root. */
  opaque: string[];
}

interface TarHeader {
  name: string;
  type: string;
  devmajor: number;
  devminor: number;
  pax?: unknown;
}

/** Adds an entry's marker. @throws AgentError UnsupportedRootfs for one that refers to paths of the layers below */
function addMarker(markers: OverlayMarkers, header: TarHeader): void {
  const name = header.name.replace(/^\.\//, '').replace(/\/$/, '');
  if (name === '' || name === '.') return;
  if (!isInside(name))
    throw new AgentError(
      'ImageCorrupt',
      `The writable layer has an entry outside its root: ${name}.`,
    );
  if (header.type === 'character-device' && !header.devmajor && !header.devminor) {
    // Its bytes are lost: the file of the layers below could not be found by this name.
    if (name.includes('\ufffd')) {
      throw new AgentError(
        'UnsupportedRootfs',
        `The container has deleted a file of its image whose name is not UTF-8: ${name}. Such a name cannot be moved. Build an image without that file.`,
      );
    }
    markers.whiteouts.push(name);
  }
  const attributes = (header.pax ?? {}) as Record<string, string>;
  for (const space of ['trusted', 'user']) {
    const overlay = `SCHILY.xattr.${space}.overlay.`;
    if (attributes[`${overlay}opaque`] === 'y') markers.opaque.push(name);
    for (const kind of ['redirect', 'metacopy']) {
      if (`${overlay}${kind}` in attributes) {
        throw new AgentError(
          'UnsupportedRootfs',
          `${name} of the writable layer uses overlayfs's ${kind}. Mount overlays with redirect_dir=off and ` +
            'metacopy=off on the nodes (the default of most kernels).',
        );
      }
    }
  }
}

/** Reads the markers of a packed upper directory. @param file as the agent sees it. @throws AgentError UnsupportedRootfs, ImageCorrupt */
export async function readOverlayMarkers(file: string): Promise<OverlayMarkers> {
  const markers: OverlayMarkers = { whiteouts: [], opaque: [] };
  const extract = tar.extract();
  const feeding = pipeline(createReadStream(file), extract);
  const reading = (async () => {
    for await (const entry of extract) {
      addMarker(markers, entry.header);
      entry.resume();
    }
  })();
  await Promise.all([feeding, reading]);
  return markers;
}

/**
 * Applies a packed upper directory to a container's root. It goes through the mount, because the upper directory of a
 * mounted overlay must not be changed. Deletions come first, then the files.
 * @throws AgentError UnsupportedRootfs, ImageCorrupt, RuntimeFailed
 */
export async function applyLayer(
  host: Host,
  file: string,
  rootfs: string,
  { what, signal }: TarOptions,
): Promise<void> {
  const { whiteouts, opaque } = await readOverlayMarkers(host.path(file));
  for (const name of whiteouts) await removeInside(host.path(rootfs), name);
  for (const name of opaque) await emptyInside(host.path(rootfs), name);
  const list = `${file}.whiteouts`;
  const listed = whiteouts.filter((name) => !needsArgument(name));
  await writeFile(host.path(list), listed.map((name) => `./${name}\n`).join(''));
  try {
    const exclude = ['--anchored', '--no-wildcards', `--exclude-from=${list}`];
    for (const name of whiteouts) if (needsArgument(name)) exclude.push(`--exclude=./${name}`);
    const attributes = ['--xattrs-exclude=trusted.overlay.*', '--xattrs-exclude=user.overlay.*'];
    const args = ['--extract', ...XATTRS, ...attributes, '--preserve-permissions', ...exclude];
    args.push('--directory', rootfs, '--file', file);
    await runTar(host, args, { what: `cannot unpack ${what}`, signal });
  } finally {
    await rm(host.path(list), { force: true });
  }
}

/** tar's list of excluded names has one a line, and takes white space at its end for none of the name. */
const needsArgument = (name: string): boolean => /\n|\s$/.test(name);

/** Removes a path below root. Does nothing if a link on the way could lead out of the root. */
async function removeInside(root: string, name: string): Promise<void> {
  if (await hasPlainParents(root, name)) {
    await rm(join(root, name), { recursive: true, force: true });
  }
}

async function emptyInside(root: string, name: string): Promise<void> {
  if (!(await hasPlainParents(root, `${name}/.`))) return;
  for (const child of await readdir(join(root, name))) {
    await rm(join(root, name, child), { recursive: true, force: true });
  }
}

/** Whether every parent of the path is a directory and no link. */
async function hasPlainParents(root: string, name: string): Promise<boolean> {
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
