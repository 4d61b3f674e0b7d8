// SPDX-License-Identifier: Apache-2.0
// Freezes, thaws and kills a container through its cgroup (v2). Written directly: runc pause does the same, but
// starting runc three times would lengthen the blackout.
import { readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { endTcpRepair } from '../../../../native/addon/index.ts';
import { AgentError, isErrno } from '../../support/errors.ts';

/** Tasks in uninterruptible sleep freeze only when they leave it. */
const FREEZE_TIMEOUT_MS = 10_000;
const POLL_MS = 2;

/** A cgroup's directory as the agent sees it. */
export class Cgroup {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** @throws AgentError RuntimeFailed */
  async freeze(): Promise<void> {
    await this.#setFrozen(true);
  }

  /** @throws AgentError RuntimeFailed */
  async thaw(): Promise<void> {
    await this.#setFrozen(false);
  }

  /**
   * A CRIU that was killed while it dumped, and its guard with it, has left the tasks' TCP connections in repair mode:
   * to a task that goes on each send and each receive would be an error.
   */
  async endTcpRepair(): Promise<void> {
    for (const pid of await this.tasks()) await endTcpRepair(pid);
  }

  async isFrozen(): Promise<boolean> {
    return (await this.#event('frozen')) === '1';
  }

  /** SIGKILL to every task, frozen or not: none runs another instruction. Nothing if it is gone. */
  async kill(): Promise<void> {
    await unlessGone(writeFile(join(this.#dir, 'cgroup.kill'), '1'), undefined);
  }

  /**
   * Also ends who holds others stopped: a CRIU that is killed lets go of what it has rebuilt, which then is frozen
   * and dies before it runs.
   */
  async killFrozen(): Promise<void> {
    await unlessGone(writeFile(join(this.#dir, 'cgroup.freeze'), '1'), undefined);
    await this.kill();
  }

  /** Numbers of the tasks in it and in what is below it; none if it is gone. */
  async tasks(): Promise<number[]> {
    const files = await unlessGone(readdir(this.#dir, { recursive: true }), []);
    const lists = files.filter((name) => basename(name) === 'cgroup.procs');
    const texts = lists.map((name) => unlessGone(readFile(join(this.#dir, name), 'utf8'), ''));
    return (await Promise.all(texts))
      .flatMap((text) => text.split('\n').filter(Boolean))
      .map(Number);
  }

  /** Nothing if it is gone, or while it has tasks. */
  async remove(): Promise<void> {
    try {
      await unlessGone(rmdir(this.#dir), undefined);
    } catch (error) {
      if (!isErrno(error, 'EBUSY')) throw error;
    }
  }

  async #setFrozen(frozen: boolean): Promise<void> {
    try {
      await writeFile(join(this.#dir, 'cgroup.freeze'), frozen ? '1' : '0');
      const end = performance.now() + FREEZE_TIMEOUT_MS;
      while ((await this.isFrozen()) !== frozen) {
        if (performance.now() > end) {
          const verb = frozen ? 'freeze' : 'thaw';
          throw new AgentError('RuntimeFailed', `the container did not ${verb} within 10 s`);
        }
        await sleep(POLL_MS);
      }
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
      throw new AgentError('RuntimeFailed', 'the container is gone', { cause: error });
    }
  }

  async #event(key: string): Promise<string | undefined> {
    const text = await readFile(join(this.#dir, 'cgroup.events'), 'utf8');
    return new RegExp(`^${key} (\\d+)$`, 'm').exec(text)?.[1];
  }
}

/** Slice, QoS class, pod, container; and one more, should the kubelet have a root of its own. */
const DEPTH = 6;

/**
 * The cgroup of a container of which runc keeps no state yet: whatever the driver, its name has the container's id.
 * @param root `/sys/fs/cgroup` of the host as the agent sees it
 */
export async function findCgroup(
  root: string,
  id: string,
  depth = DEPTH,
): Promise<string | undefined> {
  if (depth === 0 || id === '') return undefined;
  for (const name of await listFolders(root)) {
    const path = join(root, name);
    if (name.includes(id)) return path;
    const found = await findCgroup(path, id, depth - 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Names of the folders in a folder; none if it is gone. */
export async function listFolders(path: string): Promise<string[]> {
  const entries = await unlessGone(readdir(path, { withFileTypes: true }), []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

/** Cgroups come and go. */
async function unlessGone<T>(work: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENODEV')) return otherwise;
    throw error;
  }
}
