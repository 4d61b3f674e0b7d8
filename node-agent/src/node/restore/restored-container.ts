// SPDX-License-Identifier: Apache-2.0
// A target's container from its resume gate on (docs/adr/0021). Its tasks stand still in the cgroup's freezer: no process
// has to stay for that. Every method may be repeated.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentError, isErrno } from '../../support/errors.ts';
import type { Host } from '../host/host.ts';
import { Cgroup, findCgroup } from '../runtime/cgroup.ts';
import { markMoving, unmarkMoving } from '../runtime/moving-marker.ts';
import { isInContainer, PROC } from '../runtime/process.ts';

const CGROUPS = '/sys/fs/cgroup';
/** CRIU, from its resume gate to its end. Frozen with its tasks it could not detach from them. */
const PAST_GATE = '/sys/fs/cgroup/sealift/past-gate';
/** In the bundle: the runtime has called `start`, so its `create` has returned (sealift-runc). */
export const STARTED = 'sealift-started';

/** Restoring: the create has not returned. Frozen: it has, and no task runs. Thawed: the tasks may run. */
export type RestoredState = 'Restoring' | 'Frozen' | 'Thawed' | 'Ended';

export interface RestoredContainer {
  /** The container's id and directory of its bundle on the host, as its create gave them. */
  id: string;
  bundle: string;
}

export type RestoredControl = Pick<
  RestoredContainers,
  'refuseExec' | 'freeze' | 'resetConnections' | 'thaw' | 'killFrozen' | 'state'
>;

export class RestoredContainers {
  readonly #host: Host;
  readonly #proc: string;
  /** Directories of the cgroups, by container id. */
  readonly #found = new Map<string, string>();

  /** @param proc the directory /proc */
  constructor(host: Host, proc = PROC) {
    this.#host = host;
    this.#proc = proc;
  }

  /** From its create until it is thawed, no program is run in the container. @param request for people: its kind and name */
  async refuseExec(bundle: string, request: string): Promise<void> {
    await markMoving(this.#host, bundle, request);
  }

  /**
   * Freezes the tasks that CRIU has restored and still traces. What else is in their cgroup leaves it: CRIU, which runc
   * has put there.
   * @throws AgentError RestoreFailed, RuntimeFailed
   */
  async freeze({ id }: Pick<RestoredContainer, 'id'>): Promise<void> {
    const cgroup = await this.#cgroup(id);
    if (!cgroup) {
      throw new AgentError(
        'RestoreFailed',
        `Container ${id} has no cgroup v2. Boot the node with the unified cgroup hierarchy.`,
      );
    }
    const pastGate = new Cgroup(this.#host.path(PAST_GATE));
    for (const pid of await cgroup.tasks()) {
      if ((await isInContainer(pid, this.#proc)) === false) await pastGate.take(pid);
    }
    await cgroup.freeze();
  }

  /** Resets connections of tasks that stand frozen. Those of a thawed container have been reset. */
  async resetConnections(
    { id }: Pick<RestoredContainer, 'id'>,
    addresses: readonly string[],
  ): Promise<void> {
    const cgroup = await this.#cgroup(id);
    if ((await cgroup?.state()) === 'frozen') await cgroup?.resetConnections(addresses);
  }

  /** Lets the tasks run, and programs beside them again. Does nothing if the container has ended. */
  async thaw({ id, bundle }: RestoredContainer): Promise<void> {
    const cgroup = await this.#cgroup(id);
    if (cgroup && (await cgroup.state()) !== 'ended') await cgroup.thaw();
    await unmarkMoving(this.#host, bundle);
    this.#found.delete(id);
  }

  /** Kills the tasks of a container that is past its gate: they run no other instruction. Does nothing to others. */
  async killFrozen({ id }: Pick<RestoredContainer, 'id'>): Promise<void> {
    const cgroup = await this.#cgroup(id);
    const state = await cgroup?.state();
    if (state === 'frozen' || state === 'freezing') await cgroup?.kill();
    this.#found.delete(id);
  }

  /** Of a container from which CRIU has detached. */
  async state({ id, bundle }: RestoredContainer): Promise<RestoredState> {
    const state = (await (await this.#cgroup(id))?.state()) ?? 'ended';
    switch (state) {
      case 'ended':
        this.#found.delete(id);
        return 'Ended';
      case 'thawed':
        return 'Thawed';
      case 'freezing':
        return 'Restoring';
      case 'frozen':
        return (await this.#isStarted(bundle)) ? 'Frozen' : 'Restoring';
    }
  }

  async #isStarted(bundle: string): Promise<boolean> {
    try {
      await stat(join(this.#host.path(bundle), STARTED));
      return true;
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return false;
      throw error;
    }
  }

  async #cgroup(id: string): Promise<Cgroup | undefined> {
    const dir = this.#found.get(id) ?? (await findCgroup(this.#host.path(CGROUPS), id));
    if (dir === undefined) return undefined;
    this.#found.set(id, dir);
    return new Cgroup(dir);
  }
}
