// SPDX-License-Identifier: Apache-2.0
// Freezes, thaws and kills a container through its cgroup (kernel documentation, admin-guide/cgroup-v2: cgroup.freeze,
// cgroup.kill, cgroup.events). `runc pause` does the same, but starting runc three times would lengthen the blackout.
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { endTcpRepair, resetTcpOf } from '../../../../native/addon/index.ts';
import { AgentError, isErrno } from '../../support/errors.ts';

/** Tasks in uninterruptible sleep freeze only when they leave it. */
const FREEZE_TIMEOUT_MS = 10_000;
const POLL_MS = 2;

/** The cgroup is gone: nothing is left to freeze or to thaw. */
export class ContainerEnded extends AgentError {
  constructor(cause?: unknown) {
    super('RuntimeFailed', 'The container has ended.', { cause });
  }
}

export class Cgroup {
  readonly #dir: string;

  /** @param dir of the cgroup, as the agent sees it */
  constructor(dir: string) {
    this.#dir = dir;
  }

  /**
   * Resolves once every task is frozen.
   * @param signal ends the wait
   * @throws AgentError RuntimeFailed after 10 s, or if the cgroup is gone; Aborted
   */
  async freeze(signal?: AbortSignal): Promise<void> {
    await this.#setFrozen(true, signal);
  }

  /** Resolves once no task is frozen. @throws AgentError RuntimeFailed after 10 s, or if the cgroup is gone */
  async thaw(): Promise<void> {
    await this.#setFrozen(false);
  }

  /**
   * Takes the tasks' TCP sockets out of repair mode (tcp(7), TCP_REPAIR). A CRIU that was killed with its guard leaves
   * them in it, and a task that is resumed would see an error from each send and receive.
   */
  async endTcpRepair(): Promise<void> {
    for (const pid of await this.tasks()) await endTcpRepair(pid);
  }

  /** Resets the tasks' TCP connections at the addresses, as their peers would. The tasks are frozen. */
  async resetConnections(addresses: readonly string[]): Promise<void> {
    for (const pid of await this.tasks()) await resetTcpOf(pid, addresses);
  }

  async isFrozen(): Promise<boolean> {
    return (await this.#event('frozen')) === '1';
  }

  /**
   * `frozen`: each task is; one that a tracer has stopped counts. `freezing`: one is on the way, or has just lost its
   * tracer. `ended`: the cgroup is gone or has no tasks.
   */
  async state(): Promise<'frozen' | 'freezing' | 'thawed' | 'ended'> {
    const wanted = await unlessGone(readFile(join(this.#dir, 'cgroup.freeze'), 'utf8'), undefined);
    const populated = await unlessGone(this.#event('populated'), undefined);
    if (wanted === undefined || populated !== '1') return 'ended';
    if (wanted.trim() !== '1') return 'thawed';
    return (await this.isFrozen()) ? 'frozen' : 'freezing';
  }

  /** Takes a process in, with all its threads. Makes the cgroup if there is none. Nothing happens if the process is gone. */
  async take(pid: number): Promise<void> {
    await mkdir(this.#dir, { recursive: true });
    try {
      await writeFile(join(this.#dir, 'cgroup.procs'), String(pid));
    } catch (error) {
      if (!isErrno(error, 'ESRCH')) throw error;
    }
  }

  /** Sends SIGKILL to every task. A frozen one runs no other instruction. Does nothing if the cgroup is gone. */
  async kill(): Promise<void> {
    await unlessGone(writeFile(join(this.#dir, 'cgroup.kill'), '1'), undefined);
  }

  /**
   * Kills CRIU together with the tasks that it has restored. A killed CRIU detaches from its tasks: they are frozen
   * then, and die before they run. Does nothing if the cgroup is gone.
   */
  async killFrozen(): Promise<void> {
    await unlessGone(writeFile(join(this.#dir, 'cgroup.freeze'), '1'), undefined);
    await this.kill();
  }

  /** PIDs of the tasks in the cgroup and below it; empty if it is gone. */
  async tasks(): Promise<number[]> {
    const files = await unlessGone(readdir(this.#dir, { recursive: true }), []);
    const lists = files.filter((name) => basename(name) === 'cgroup.procs');
    const texts = lists.map((name) => unlessGone(readFile(join(this.#dir, name), 'utf8'), ''));
    return (await Promise.all(texts))
      .flatMap((text) => text.split('\n').filter(Boolean))
      .map(Number);
  }

  /** Bytes of memory that no file backs: what a dump writes. 0 if the cgroup is gone. Of `shmem` other pods may have a part. */
  async memory(): Promise<{ anon: number; shmem: number }> {
    const text = await unlessGone(readFile(join(this.#dir, 'memory.stat'), 'utf8'), '');
    const field = (name: string): number =>
      Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
    return { anon: field('anon'), shmem: field('shmem') };
  }

  /** Does nothing if the cgroup is gone or has tasks. */
  async remove(): Promise<void> {
    try {
      await unlessGone(rmdir(this.#dir), undefined);
    } catch (error) {
      if (!isErrno(error, 'EBUSY')) throw error;
    }
  }

  async #setFrozen(frozen: boolean, signal?: AbortSignal): Promise<void> {
    try {
      await writeFile(join(this.#dir, 'cgroup.freeze'), frozen ? '1' : '0');
      const end = performance.now() + FREEZE_TIMEOUT_MS;
      while ((await this.isFrozen()) !== frozen) {
        if (signal?.aborted)
          throw new AgentError('Aborted', 'The tasks need not be frozen any more.');
        if (performance.now() > end) {
          const verb = frozen ? 'freeze' : 'thaw';
          throw new AgentError(
            'RuntimeFailed',
            `The container of cgroup ${this.#dir} did not ${verb} within 10 s. Look there for tasks in uninterruptible sleep (state D).`,
          );
        }
        await sleep(POLL_MS);
      }
    } catch (error) {
      if (!isErrno(error, 'ENOENT') && !isErrno(error, 'ENODEV')) throw error;
      throw new ContainerEnded(error);
    }
  }

  async #event(key: string): Promise<string | undefined> {
    const text = await readFile(join(this.#dir, 'cgroup.events'), 'utf8');
    return new RegExp(`^${key} (\\d+)$`, 'm').exec(text)?.[1];
  }
}

/** Slice, QoS class, pod, container, and one more for a kubelet with a cgroup root of its own. */
const MAX_DEPTH = 6;

/**
 * Finds a container's cgroup before runc has written the container's state. With every cgroup driver its name contains
 * the container's id.
 * @param root `/sys/fs/cgroup` of the host, as the agent sees it
 * @returns the directory; undefined if there is none
 */
export async function findCgroup(
  root: string,
  id: string,
  depth = MAX_DEPTH,
): Promise<string | undefined> {
  if (depth === 0 || id === '') return undefined;
  for (const name of await listDirectories(root)) {
    const path = join(root, name);
    if (name.includes(id)) return path;
    const found = await findCgroup(path, id, depth - 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Names of the directories in a directory; empty if it is gone. */
export async function listDirectories(path: string): Promise<string[]> {
  const entries = await unlessGone(readdir(path, { withFileTypes: true }), []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

/** The otherwise-value if the cgroup has gone meanwhile. */
async function unlessGone<T>(work: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENODEV')) return otherwise;
    throw error;
  }
}
