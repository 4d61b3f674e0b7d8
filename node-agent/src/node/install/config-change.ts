// SPDX-License-Identifier: Apache-2.0
// One change of containerd's configuration: files are replaced, containerd is asked whether it takes the result, and
// restarted. Whatever fails, files and containerd are as they were before. The change is noted in the run directory before
// it begins, so that the next agent goes on, or takes it back, if this one is killed in the middle.
import { chmod, chown, mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { AgentError, isErrno, reasonOf } from '../../support/errors.ts';
import { textOf } from '../../support/optional-file.ts';
import { syncPath } from '../../support/durable.ts';
import type { Host } from '../host/host.ts';
import { effectiveConfig, refuseIfRestartKills, restartContainerd } from './containerd.ts';
import type { Containerd } from './containerd.ts';

export interface RuntimeParts {
  readonly host: Host;
  readonly containerd: Containerd;
  /** Directory that does not outlive a boot, `/run/sealift`. */
  readonly runDir: string;
  /** Directory that outlives a boot, `/var/lib/sealift`. */
  readonly stateDir: string;
  /** Runs work while no other node of the cluster runs such work. */
  readonly alone: (work: () => Promise<void>) => Promise<void>;
  /** Resolves once containerd serves the kubelet again. @throws AgentError RuntimeFailed */
  readonly answers: () => Promise<void>;
}

/** A file and its new text; undefined removes it. */
export interface FileChange {
  readonly path: string;
  readonly content: string | undefined;
}

/** What a change has begun: texts of the files as they were, and as they are to be. Null: no file. */
const Pending = z.array(
  z.object({ path: z.string(), before: z.string().nullable(), after: z.string().nullable() }),
);
type Pending = z.infer<typeof Pending>;

const pendingFile = (runDir: string): string => join(runDir, 'runtime-restart-pending');

/** A change that was begun and not ended in this boot. An earlier version of the agent noted it without the files. */
export async function pendingChange(runDir: string): Promise<Pending | undefined> {
  const text = await textOf(pendingFile(runDir));
  if (text === undefined) return undefined;
  try {
    return Pending.parse(JSON.parse(text));
  } catch {
    // Also one that was not written to its end: then nothing was changed yet.
    return [];
  }
}

/** Where a file's new text is until it takes the file's place. */
export const newFileOf = (path: string): string => `${path}.sealift-new`;

/** Replaces a file whole, with the mode and owner of `like`. Undefined removes it. */
async function replace(path: string, content: string | undefined, like: string): Promise<void> {
  if (content === undefined) {
    await rm(path, { force: true });
    await syncPath(dirname(path)).catch(() => undefined);
    return;
  }
  await mkdir(dirname(path), { recursive: true });
  const old = await stat(like).catch(() => undefined);
  const next = newFileOf(path);
  try {
    // It may have a registry's password.
    await writeFile(next, content, { flush: true, mode: 0o600 });
    await chmod(next, old ? old.mode & 0o777 : 0o644);
    if (old) await chown(next, old.uid, old.gid);
    await rename(next, path);
  } catch (error) {
    await rm(next, { force: true });
    throw error;
  }
  await syncPath(dirname(path));
}

const READ_ONLY = ['EROFS', 'EACCES', 'EPERM', 'EBUSY'];

/** Replaces a file of the host. @throws AgentError RuntimeUnsupported if the node lets nobody write it */
async function replaceOn(host: Host, { path, content }: FileChange, like = path): Promise<void> {
  try {
    await replace(host.path(path), content, host.path(like));
  } catch (error) {
    const code = READ_ONLY.find((one) => isErrno(error, one));
    if (code === undefined) throw error;
    throw new AgentError(
      'RuntimeUnsupported',
      `${path} cannot be changed (${code}): it is read-only, or mounted. Add or remove the runtime handler by the means that ` +
        'make the file, as charts/sealift/README.md says, and set agent.runtime.configure to false.',
      { cause: error },
    );
  }
}

/**
 * Asks containerd about a main file before any file of the configuration is changed: a node that loses power in the middle
 * must not start with one that containerd refuses.
 * @throws AgentError RuntimeFailed, RuntimeUnsupported
 */
export async function tryConfig(
  { host, containerd }: RuntimeParts,
  main: string,
  check: (effective: string) => void,
): Promise<void> {
  const path = newFileOf(containerd.mainFile);
  try {
    await replaceOn(host, { path, content: main }, containerd.mainFile);
    check(await effectiveConfig(host, containerd, path));
  } finally {
    await rm(host.path(path), { force: true }).catch(() => undefined);
  }
}

/**
 * Changes files of the configuration, the last one first when it takes them back, and restarts containerd.
 * @param check throws if what containerd makes of the files isn't what was meant
 * @throws AgentError RuntimeFailed, RuntimeUnsupported; then the files are as they were, and containerd runs with them
 */
export async function changeConfig(
  parts: RuntimeParts,
  changes: readonly FileChange[],
  check: (effective: string) => void,
): Promise<void> {
  const { host, containerd, runDir } = parts;
  await parts.alone(async () => {
    await refuseIfRestartKills(host, containerd);
    const begun = await pendingChange(runDir);
    const pending: Pending = [];
    for (const { path, content } of changes) {
      const now = (await textOf(host.path(path))) ?? null;
      // A change that was begun: what was there before it is what to go back to, unless somebody has written since.
      const earlier = begun?.find((one) => one.path === path && one.after === now);
      pending.push({ path, before: earlier ? earlier.before : now, after: content ?? null });
    }
    await mkdir(runDir, { recursive: true });
    await writeFile(pendingFile(runDir), JSON.stringify(pending), { flush: true });
    const takeBack = async (): Promise<void> => {
      for (const { path, before } of pending.toReversed())
        await replaceOn(host, { path, content: before ?? undefined });
    };
    const ended = (): Promise<void> => rm(pendingFile(runDir), { force: true });
    try {
      for (const one of changes) await replaceOn(host, one);
      check(await effectiveConfig(host, containerd, containerd.mainFile));
    } catch (error) {
      await takeBack();
      // containerd has not been restarted, unless an agent before this one was killed in the middle of that.
      if (begun === undefined) await ended();
      throw error;
    }
    try {
      await restartContainerd(host, containerd);
      await parts.answers();
    } catch (error) {
      await takeBack();
      await restartWithOld(parts, error);
      await ended();
      throw new AgentError(
        'RuntimeFailed',
        `containerd did not start with the new configuration: ${reasonOf(error).message} ` +
          'It runs with the old one again. Look at its log on this node, then restart the agent.',
        { cause: error },
      );
    }
    await ended();
  });
}

/** @throws AgentError RuntimeFailed if containerd does not start with the files that it had before, either */
async function restartWithOld(parts: RuntimeParts, cause: unknown): Promise<void> {
  try {
    await restartContainerd(parts.host, parts.containerd);
    await parts.answers();
  } catch (error) {
    throw new AgentError(
      'RuntimeFailed',
      `containerd does not start on this node, neither with Sealift's runtime handler nor with its old configuration, which is ` +
        `in place again: ${reasonOf(error).message} (${reasonOf(cause).message})`,
      { cause: error },
    );
  }
}
