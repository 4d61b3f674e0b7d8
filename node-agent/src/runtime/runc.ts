// SPDX-License-Identifier: Apache-2.0
// Drives the host's runc to checkpoint containers that containerd started.
import { join } from 'node:path';
import { DeadlineError } from '../../../kube/src/index.ts';
import { AgentError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { RUNC_ROOT } from './containers.ts';
import { readLogReason } from './criu-log.ts';
import { pluginFaults } from './plugin-faults.ts';

export const RUNC = '/opt/sealift/bin/runc';

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
  async checkpoint(id: string, options: CheckpointOptions): Promise<void> {
    const args = ['checkpoint', '--leave-running', '--tcp-established', '--file-locks'];
    args.push('--manage-cgroups-mode', 'ignore');
    args.push('--image-path', options.imagePath, '--work-path', options.workPath, id);
    const result = await this.#host.run(RUNC, ['--root', RUNC_ROOT, ...args], {
      env: { ...CRIU_ENVIRONMENT, ...options.env, ...(await pluginFaults('dump')) },
      timeoutMs: CHECKPOINT_TIMEOUT_MS,
      interrupt: { when: lateness(options.signal), with: GIVE_UP, graceMs: GIVE_UP_MS },
    });
    if (result.status === 0) return;
    const log = this.#host.path(join(options.workPath, 'dump.log'));
    const reason = await readLogReason(log, 'CheckpointFailed');
    const said = reason.code === 'CheckpointFailed' ? ` (${result.stderr.trim().slice(-300)})` : '';
    throw new AgentError(reason.code, reason.message + said);
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
