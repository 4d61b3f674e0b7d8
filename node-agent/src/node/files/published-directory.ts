// SPDX-License-Identifier: Apache-2.0
// A directory in which the kubelet publishes files of the API (kubernetes, pkg/volume/util/atomic_writer.go): the files lie in a
// directory named after the moment, the link `..data` names it, and the links that users see lead through `..data`. An update
// makes another directory, changes the link and removes the old directory. A process that has opened or watches a file has the
// old directory's name in its path. api-volumes.ts calls this; all paths are as the agent sees them.
import {
  chmod,
  chown,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AgentError, isErrno, unlessErrno } from '../../support/errors.ts';
import { isInside } from '../transfer/manifest.ts';

const DATA = '..data';
/** The agent's own link, until it takes the place of `..data`. The kubelet passes over names that begin with two dots. */
const NEXT = '..data_sealift';

export interface PublishedFile {
  /** Permissions, as chmod takes them. */
  mode: number;
  uid: number;
  gid: number;
  /** Undefined: a directory. */
  content?: Buffer;
}

export interface Published {
  /** Name of the directory that `..data` leads to, `..2026_11_29_23_40_01.123456789`. */
  live: string;
  /** What lies in it, by relative path; a directory comes before what it contains. */
  files: Map<string, PublishedFile>;
  /** Names of the links that users see. */
  links: string[];
}

/** Undefined for a directory that the kubelet has published nothing in. It may make an update meanwhile. */
export async function readPublished(dir: string): Promise<Published | undefined> {
  for (;;) {
    const live = await liveName(dir);
    if (live === undefined) return undefined;
    try {
      return await readLive(dir, live);
    } catch (error) {
      if (!isErrno(error, 'ENOENT') || (await liveName(dir)) === live) throw error;
    }
  }
}

async function readLive(dir: string, live: string): Promise<Published> {
  const files = new Map<string, PublishedFile>();
  const waiting = [''];
  for (let parent = waiting.shift(); parent !== undefined; parent = waiting.shift()) {
    for (const name of (await readdir(join(dir, live, parent))).sort()) {
      const path = join(parent, name);
      const { isFile, ...file } = await describe(join(dir, live, path));
      const content = isFile ? await readFile(join(dir, live, path)) : undefined;
      files.set(path, { ...file, ...(content && { content }) });
      if (!isFile) waiting.push(path);
    }
  }
  return { live, files, links: await visibleLinks(dir) };
}

/**
 * Makes a directory that the kubelet has published in look like another one, to the names. The inodes of files that both
 * have stay: a container may have one mounted alone (subPath). The kubelet compares the content at its next look at the pod
 * and then makes an update as any other, which processes that watch the directory are told of. May be repeated.
 * @throws AgentError RestoreFailed for a directory that the kubelet has published nothing in; ImageCorrupt
 */
export async function publishAgain(dir: string, wanted: Published): Promise<void> {
  const { live, files, links } = wanted;
  for (const path of [live, ...files.keys(), ...links]) {
    if (!isInside(path) || (path === live && path.includes('/'))) {
      throw new AgentError(
        'ImageCorrupt',
        `The images have a volume's file outside of it: ${path}.`,
      );
    }
  }
  await takeName(dir, live);
  await mkdir(join(dir, live), { recursive: true });
  await removeOthers(join(dir, live), files);
  for (const [path, file] of files) await write(join(dir, live, path), file);
  const present = await visibleLinks(dir);
  for (const name of present.filter((one) => !links.includes(one))) await rm(join(dir, name));
  for (const name of links.filter((one) => !present.includes(one))) {
    await rm(join(dir, name), { recursive: true, force: true });
    await symlink(join(DATA, name), join(dir, name));
  }
}

/** Gives the live directory a name. A crash may have come between the rename and the link. */
async function takeName(dir: string, live: string): Promise<void> {
  const own = await liveName(dir);
  if (own === undefined) {
    throw new AgentError(
      'RestoreFailed',
      `The kubelet has published nothing in ${dir}. Create a new request when the pod's volumes are there.`,
    );
  }
  if (own === live) return;
  if (await exists(join(dir, own))) {
    await rm(join(dir, live), { recursive: true, force: true });
    await rename(join(dir, own), join(dir, live));
  }
  await rm(join(dir, NEXT), { force: true });
  await symlink(live, join(dir, NEXT));
  await rename(join(dir, NEXT), join(dir, DATA));
}

async function liveName(dir: string): Promise<string | undefined> {
  const live = await unlessErrno(readlink(join(dir, DATA)), 'ENOENT', 'ENOTDIR', 'EINVAL');
  return live !== undefined && isInside(live) && !live.includes('/') ? live : undefined;
}

async function visibleLinks(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true });
  const links = entries.filter((one) => one.isSymbolicLink() && !one.name.startsWith('..'));
  return links.map(({ name }) => name).sort();
}

async function removeOthers(root: string, wanted: ReadonlyMap<string, unknown>): Promise<void> {
  const all = await readdir(root, { recursive: true });
  for (const path of all.filter((one) => !wanted.has(one)))
    await rm(join(root, path), { recursive: true, force: true });
}

/** Leaves a file that has the same content untouched. */
async function write(path: string, { mode, uid, gid, content }: PublishedFile): Promise<void> {
  const before = await unlessErrno(describe(path), 'ENOENT');
  const isSameKind = before?.isFile === (content !== undefined);
  if (before && !isSameKind) await rm(path, { recursive: true });
  if (content === undefined) {
    await mkdir(path, { recursive: true });
  } else if (!before || !isSameKind || !(await readFile(path)).equals(content)) {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(path, 'w');
    await file.writeFile(content).finally(() => file.close());
  }
  if (!before || !isSameKind) await chown(path, uid, gid);
  if (before?.mode !== mode || !isSameKind) await chmod(path, mode);
}

/** The kubelet makes files and directories, nothing else. @throws AgentError UnsupportedObject */
async function describe(
  path: string,
): Promise<Omit<PublishedFile, 'content'> & { isFile: boolean }> {
  const found = await lstat(path);
  if (!found.isFile() && !found.isDirectory()) {
    throw new AgentError(
      'UnsupportedObject',
      `${path} of a volume of the API is neither a file nor a directory. Find out what has made it there.`,
    );
  }
  const { mode, uid, gid } = found;
  return { mode: mode & 0o7777, uid, gid, isFile: found.isFile() };
}

const exists = async (path: string): Promise<boolean> =>
  (await unlessErrno(lstat(path), 'ENOENT')) !== undefined;
