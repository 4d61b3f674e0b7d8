// SPDX-License-Identifier: Apache-2.0
// Drives the host's runc to checkpoint containers that containerd started. The checkpointer calls it; restores are run
// by the shim.
import { readFileSync } from 'node:fs';
import { rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError, isErrno } from '../../support/errors.ts';
import type { Host, RunOptions } from '../host/host.ts';
import { AheadDump } from './ahead-dump.ts';
import { Cgroup, listDirectories } from './cgroup.ts';
import { RUNC_ROOT, type Container } from './containers.ts';
import { DUMP_REPORT, failureOf, readReport, type CriuReport } from './criu-outcome.ts';
import { pluginFaults } from './plugin-faults.ts';

/** On the host. */
export const RUNC = '/opt/sealift/bin/runc';
/** Leaves the dumped tasks frozen and out of TCP repair mode, however CRIU ends (native/shim/src/guard.c). */
const GUARD = '/opt/sealift/bin/sealift-guard';
/** The guards' cgroups on the host, each named after the container that it dumps. */
export const GUARDS = '/sys/fs/cgroup/sealift';
const POLL_MS = 20;

/**
 * Where CRIU finds its plugin and its configuration: part of the environment of every runc that starts it. runc's
 * annotation for a configuration file does not do: CRIU 4.1.1 crashes on `network-lock` in a file that comes by RPC.
 */
export const CRIU_ENVIRONMENT = {
  CRIU_LIBS_DIR: '/opt/sealift/lib/criu',
  CRIU_CONFIG_FILE: '/opt/sealift/etc/criu.conf',
} as const;

/** Below the two minutes after which the target's kubelet gives up the create that waits for these images. */
const CHECKPOINT_TIMEOUT_MS = 100_000;
/** With the time for which one that was started ahead may wait. */
const AHEAD_TIMEOUT_MS = CHECKPOINT_TIMEOUT_MS + 60_000;

/**
 * Makes CRIU give up. The guard first lets it write no further (native/shim/src/guard.c): a CRIU that dumps ends some
 * hundredths of a second later and takes its parasite code out of the tasks. One that hangs gets SIGALRM, whose handler
 * lets a system call fail with EINTR (criu/cr-dump.c, alarm_handler()). A stopped CRIU has to be continued first. runc
 * ignores both signals.
 */
const ASK_GUARD = { afterMs: 0, whom: 'program', with: ['SIGALRM'] } as const;
const ASK_ALL = { afterMs: 1000, whom: 'all', with: ['SIGCONT', 'SIGALRM'] } as const;
/** At the sixth SIGALRM, each a second after the last, CRIU crashes. A CRIU that is still there then is killed. */
export const GIVE_UP_MS = ASK_ALL.afterMs + 6000;
/** Name of a guard's process (proc_pid_comm(5)). */
const GUARD_NAME = 'sealift-guard';

/** With less left on the disk a dump fails for want of space. */
const FULL_BYTES = 1 << 20;

export interface CheckpointOptions {
  /** Directories of the host, for CRIU's images and its logs. Both exist. */
  imagePath: string;
  workPath: string;
  /** Added to CRIU's environment. */
  env: Record<string, string>;
  /** Makes CRIU give up. */
  signal?: AbortSignal | undefined;
}

export class Runc {
  readonly #host: Host;

  constructor(host: Host) {
    this.#host = host;
  }

  /**
   * Dumps a container and leaves it in the state that it was in. A frozen one stays frozen: CRIU restores the state of the
   * cgroup's freezer before it detaches from the tasks (criu/seize.c).
   * @throws AgentError CheckpointFailed, UnsupportedObject, DiskFull, RuntimeFailed. The reason comes from the plugin's
   * report. Aborted if it was given up.
   */
  checkpoint(
    container: Pick<Container, 'id' | 'cgroup'>,
    options: CheckpointOptions,
  ): Promise<void> {
    return this.#checkpoint(container, options);
  }

  /**
   * Starts the programs of a dump of a container that still runs. CRIU waits before it reads or touches anything.
   * @throws Error of the system
   */
  async startAhead(
    container: Pick<Container, 'id' | 'cgroup'>,
    options: Omit<CheckpointOptions, 'signal'>,
  ): Promise<AheadDump> {
    const when = join(options.workPath, 'begin');
    const file = this.#host.path(when);
    await AheadDump.clear(file);
    return new AheadDump(file, ({ interrupt, kill }) =>
      this.#checkpoint(
        container,
        {
          ...options,
          env: { ...options.env, SEALIFT_DUMP_WHEN: when },
          signal: interrupt,
        },
        { signal: kill, timeoutMs: AHEAD_TIMEOUT_MS },
      ),
    );
  }

  async #checkpoint(
    { id, cgroup }: Pick<Container, 'id' | 'cgroup'>,
    options: CheckpointOptions,
    limits: Pick<RunOptions, 'signal' | 'timeoutMs'> = { timeoutMs: CHECKPOINT_TIMEOUT_MS },
  ): Promise<void> {
    if (cgroup === undefined)
      throw new AgentError(
        'RuntimeFailed',
        `Container ${id} has no cgroup v2. Boot the node with the unified cgroup hierarchy.`,
      );
    const args = ['checkpoint', '--leave-running', '--tcp-established', '--file-locks'];
    // A TCP connection that the application has not accepted yet is left out; its peer finds it reset.
    args.push('--tcp-skip-in-flight');
    args.push('--manage-cgroups-mode', 'ignore');
    args.push('--image-path', options.imagePath, '--work-path', options.workPath, id);
    const command = [id, cgroup, RUNC, '--root', RUNC_ROOT, ...args];
    const report = join(options.workPath, DUMP_REPORT);
    await rm(this.#host.path(report), { force: true });
    const result = await this.#host.run(GUARD, command, {
      env: {
        ...CRIU_ENVIRONMENT,
        ...options.env,
        ...(await pluginFaults('dump')),
        SEALIFT_STATE: report,
      },
      ...limits,
      ...(options.signal && {
        interrupt: { when: options.signal, ask: [ASK_GUARD, ASK_ALL], graceMs: GIVE_UP_MS },
      }),
    });
    await this.#guard(id).remove();
    // CRIU ends well though the plugin's last step has failed: its hook for that returns nothing.
    const outcome = await readReport(this.#host.path(report));
    if (result.status === 0 && outcome?.state === 'dumped') return;
    // How CRIU says that it has given up is nobody's failure.
    if (options.signal?.aborted) throw new AgentError('Aborted', 'The dump was given up.');
    throw await this.#dumpFailure(options, outcome, result.stderr);
  }

  async #dumpFailure(
    options: CheckpointOptions,
    report: CriuReport | undefined,
    stderr: string,
  ): Promise<AgentError> {
    const work = this.#host.path(options.workPath);
    const images = this.#host.path(options.imagePath);
    const { code, message } = await failureOf(report, join(work, 'dump.log'), 'CheckpointFailed');
    if (code !== 'CheckpointFailed') return new AgentError(code, message);
    // CRIU says so in its log only, in which the names of a container's files are too.
    if (await isFull(images)) {
      const detail = message.replace(/\.$/, '');
      return new AgentError(
        'DiskFull',
        `The node has no space left for the images of this dump (CRIU: ${detail}). Free space below /var/lib/sealift, then create a new request.`,
      );
    }
    return new AgentError(code, `${message} (${stderr.trim().slice(-300)})`);
  }

  /**
   * Ends a dump that an earlier agent has begun. Such a dump outlives its agent, because CRIU must not be killed while it
   * has its parasite code in the tasks, but its images are of no use. This makes it give up and waits until it has ended.
   * @param id of the container
   * @returns false if the dump had to be killed: its tasks may run, and their TCP sockets may be in repair mode
   */
  async endFormerDump(id: string): Promise<boolean> {
    const guard = this.#guard(id);
    const begun = performance.now();
    let tasks = await guard.tasks();
    const guards = tasks.filter(isGuard);
    for (const pid of guards) for (const name of ASK_GUARD.with) signal(pid, name);
    // A guard of an agent before may not know that signal, or be gone.
    let [isAsked, isKilled] = [false, false];
    while (tasks.length > 0) {
      const spent = performance.now() - begun;
      if (!isAsked && (guards.length === 0 || spent > ASK_ALL.afterMs)) {
        isAsked = true;
        for (const pid of tasks) for (const name of ASK_ALL.with) signal(pid, name);
      }
      if (!isKilled && spent > GIVE_UP_MS) {
        isKilled = true;
        await guard.kill();
      }
      await sleep(POLL_MS);
      tasks = await guard.tasks();
    }
    await guard.remove();
    return !isKilled;
  }

  /** Removes the cgroups of guards that have ended. */
  async removeGuards(): Promise<void> {
    for (const id of await listDirectories(this.#host.path(GUARDS))) await this.#guard(id).remove();
  }

  #guard(id: string): Cgroup {
    return new Cgroup(this.#host.path(join(GUARDS, id)));
  }
}

/** Whether a directory's disk has no room for another image. */
async function isFull(directory: string): Promise<boolean> {
  try {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize < FULL_BYTES;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

function isGuard(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === GUARD_NAME;
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ESRCH')) return false;
    throw error;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
}
