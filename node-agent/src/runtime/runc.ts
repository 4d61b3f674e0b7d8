// SPDX-License-Identifier: Apache-2.0
// Drives the host's runc for containers that containerd started: pause, checkpoint, resume, kill.
import { join } from 'node:path';
import { z } from 'zod';
import { AgentError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { RUNC_ROOT } from './containers.ts';
import { readLogReason } from './criu-log.ts';

export const RUNC = '/opt/sealift/bin/runc';

/** Well under the two minutes after which a kubelet gives up on the container that waits at the target. */
const CHECKPOINT_TIMEOUT_MS = 100_000;
const SHORT_TIMEOUT_MS = 20_000;

const runcState = z.looseObject({ status: z.string() });

export interface CheckpointOptions {
  /** Directories of the host; both exist. */
  imagePath: string;
  workPath: string;
  env: Record<string, string>;
}

export class Runc {
  readonly #host: Host;

  constructor(host: Host) {
    this.#host = host;
  }

  /** `running`, `paused`, `stopped`, `created`, or `gone` when runc does not know the container. */
  async status(id: string): Promise<string> {
    const result = await this.#run(['state', id]);
    if (result.status !== 0) {
      if (result.stderr.includes('does not exist')) return 'gone';
      throw new AgentError('RuntimeFailed', `runc state: ${result.stderr.trim()}`);
    }
    return runcState.parse(JSON.parse(result.stdout)).status;
  }

  /** Freezes the container's cgroup. Does nothing to one that is frozen. */
  async pause(id: string): Promise<void> {
    if ((await this.status(id)) === 'paused') return;
    await this.#check(['pause', id]);
  }

  /** Thaws the container's cgroup. Does nothing to one that is not frozen. */
  async resume(id: string): Promise<void> {
    const status = await this.status(id);
    if (status === 'gone' || status === 'stopped') {
      throw new AgentError('RuntimeFailed', `container ${id} is ${status}: nothing to thaw`);
    }
    if (status === 'paused') await this.#check(['resume', id]);
  }

  /** SIGKILL to every task; they die frozen, no code of theirs runs. Does nothing to one that is gone. */
  async kill(id: string): Promise<void> {
    const result = await this.#run(['kill', id, 'KILL']);
    if (result.status === 0) return;
    if (/does not exist|not running|process already finished|no such process/.test(result.stderr)) {
      return;
    }
    throw new AgentError('RuntimeFailed', `runc kill: ${result.stderr.trim()}`);
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
      env: options.env,
      timeoutMs: CHECKPOINT_TIMEOUT_MS,
    });
    if (result.status === 0) return;
    const log = this.#host.path(join(options.workPath, 'dump.log'));
    const reason = await readLogReason(log, 'CheckpointFailed');
    const said = reason.code === 'CheckpointFailed' ? ` (${result.stderr.trim().slice(-300)})` : '';
    throw new AgentError(reason.code, reason.message + said);
  }

  #run(args: string[]) {
    return this.#host.run(RUNC, ['--root', RUNC_ROOT, ...args], { timeoutMs: SHORT_TIMEOUT_MS });
  }

  #check(args: string[]) {
    return this.#host.check(RUNC, ['--root', RUNC_ROOT, ...args], { timeoutMs: SHORT_TIMEOUT_MS });
  }
}
