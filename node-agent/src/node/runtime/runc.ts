// SPDX-License-Identifier: Apache-2.0
// Drives the host's runc to checkpoint containers that containerd started.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeadlineError } from '../../../../kube/src/index.ts';
import { AgentError, isErrno } from '../../support/errors.ts';
import type { Host } from '../host/host.ts';
import { Cgroup, listFolders } from './cgroup.ts';
import { RUNC_ROOT, type Container } from './containers.ts';
import { readLogReason } from './criu-log.ts';
import { pluginFaults } from './plugin-faults.ts';

export const RUNC = '/opt/sealift/bin/runc';
/** Sees to it that what was dumped is frozen and whole, however CRIU ends (native/shim/src/guard.c). */
const GUARD = '/opt/sealift/bin/sealift-guard';
/** The guards' cgroups on the host, each named after the container that is dumped. */
const GUARDS = '/sys/fs/cgroup/sealift';
const POLL_MS = 20;

/**
 * Where CRIU finds its plugin and its settings: environment of every runc that starts it. Not by runc's
 * annotation for a configuration file: CRIU 4.1.1 crashes on `network-lock` in a file that comes by RPC.
 */
export const CRIU_ENVIRONMENT = {
  CRIU_LIBS_DIR: '/opt/sealift/lib/criu',
  CRIU_CONFIG_FILE: '/opt/sealift/etc/criu.conf',
} as const;

/** Well under the two minutes after which a kubelet gives up on the container that waits at the target. */
const CHECKPOINT_TIMEOUT_MS = 100_000;

/**
 * CRIU's own way to give up: its handler of SIGALRM lets the system call that hangs fail with EINTR, so that CRIU takes
 * its code out of the tasks before it ends (criu/cr-dump.c, alarm_handler()). A stopped one has to be continued first.
 * runc takes no notice of either.
 */
const GIVE_UP = ['SIGCONT', 'SIGALRM'] as const;
/** CRIU tries five times, a second apart. */
const GIVE_UP_MS = 6000;

export interface CheckpointOptions {
  /** Directories of the host; both exist. */
  imagePath: string;
  workPath: string;
  env: Record<string, string>;
  /** Interrupts CRIU, but only for a DeadlineError: what is merely not needed any more ends by itself, and soon. */
  signal?: AbortSignal | undefined;
}

export class Runc {
  readonly #host: Host;

  constructor(host: Host) {
    this.#host = host;
  }

  /**
   * Dumps a container and leaves it as it was: paused stays paused, because CRIU puts the cgroup's freezer
   * back before it lets go of the tasks.
   * @throws AgentError CheckpointFailed, UnsupportedObject, DiskFull, ...: the reason is read from dump.log
   */
  async checkpoint(
    { id, cgroup }: Pick<Container, 'id' | 'cgroup'>,
    options: CheckpointOptions,
  ): Promise<void> {
    if (cgroup === undefined) throw new AgentError('RuntimeFailed', `${id} has no cgroup v2`);
    const args = ['checkpoint', '--leave-running', '--tcp-established', '--file-locks'];
    args.push('--manage-cgroups-mode', 'ignore');
    args.push('--image-path', options.imagePath, '--work-path', options.workPath, id);
    const command = [id, cgroup, RUNC, '--root', RUNC_ROOT, ...args];
    const result = await this.#host.run(GUARD, command, {
      env: { ...CRIU_ENVIRONMENT, ...options.env, ...(await pluginFaults('dump')) },
      timeoutMs: CHECKPOINT_TIMEOUT_MS,
      interrupt: { when: lateness(options.signal), with: GIVE_UP, graceMs: GIVE_UP_MS },
    });
    await this.#guard(id).remove();
    if (result.status === 0) return;
    const log = this.#host.path(join(options.workPath, 'dump.log'));
    const reason = await readLogReason(log, 'CheckpointFailed');
    const said = reason.code === 'CheckpointFailed' ? ` (${result.stderr.trim().slice(-300)})` : '';
    throw new AgentError(reason.code, reason.message + said);
  }

  /**
   * A dump outlives the agent that began it, because CRIU must not be killed while it has its code in the tasks. Its
   * images are of no use any more: it is told to give up, and waited for.
   * @returns false if it had to be killed: what it dumped may run, and its TCP sockets be in repair mode
   */
  async endFormerDump(id: string): Promise<boolean> {
    const guard = this.#guard(id);
    const end = performance.now() + GIVE_UP_MS;
    let tasks = await guard.tasks();
    for (const pid of tasks) for (const one of GIVE_UP) signal(pid, one);
    let late = false;
    while (tasks.length > 0) {
      if (!late && performance.now() > end) {
        late = true;
        await guard.kill();
      }
      await sleep(POLL_MS);
      tasks = await guard.tasks();
    }
    await guard.remove();
    return !late;
  }

  /** Removes what earlier agents have left of guards that have ended. */
  async removeGuards(): Promise<void> {
    for (const id of await listFolders(this.#host.path(GUARDS))) await this.#guard(id).remove();
  }

  #guard(id: string): Cgroup {
    return new Cgroup(this.#host.path(join(GUARDS, id)));
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
}

/** Aborts when the signal does for a DeadlineError, and for nothing else. */
function lateness(signal: AbortSignal | undefined): AbortSignal {
  const late = new AbortController();
  const tell = (): void => {
    if (signal?.reason instanceof DeadlineError) late.abort(signal.reason);
  };
  signal?.addEventListener('abort', tell, { once: true });
  if (signal?.aborted) tell();
  return late.signal;
}
