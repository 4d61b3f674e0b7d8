// SPDX-License-Identifier: Apache-2.0
// A real program of the control plane beside the real API server, if its binary is there.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { TestServer } from '../../kube/testing/api-server.ts';

export class ControlPlaneProgram {
  readonly #name: string;
  readonly #path: string;
  readonly #flags: readonly string[];
  #child: ChildProcess | undefined;

  /** @param flags besides those that each of them has here: its kubeconfig, no leader election, no port */
  constructor(server: TestServer, name: string, flags: readonly string[] = []) {
    this.#name = name;
    this.#path = join(server.binaries, name);
    const common = ['--leader-elect=false', '--secure-port=0'];
    this.#flags = [`--kubeconfig=${server.kubeconfig}`, ...common, ...flags];
  }

  /** Whether the program is not there. */
  get isMissing(): boolean {
    return !existsSync(this.#path);
  }

  /** Why a test that needs it is skipped; undefined: the program is there. */
  get lack(): string | undefined {
    return this.isMissing ? `no ${this.#name} beside the API server` : undefined;
  }

  /** It ends with this process. */
  start(): void {
    const tied = ['--pdeathsig', 'KILL', this.#path, ...this.#flags];
    this.#child = spawn('setpriv', tied, { stdio: 'ignore' });
  }

  /** Kills it, as the crash of its node would. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
}
