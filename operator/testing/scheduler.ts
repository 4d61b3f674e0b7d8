// SPDX-License-Identifier: Apache-2.0
// A real kube-scheduler beside the real API server.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { TestServer } from '../../kube/testing/api-server.ts';

export class Scheduler {
  readonly #server: TestServer;
  readonly #program: string;
  #child: ChildProcess | undefined;

  constructor(server: TestServer) {
    this.#server = server;
    this.#program = join(server.binaries, 'kube-scheduler');
  }

  /** Why a test that needs it is skipped; undefined: the program is there. */
  get lack(): string | undefined {
    return existsSync(this.#program) ? undefined : 'no kube-scheduler beside the API server';
  }

  start(): void {
    const flags = [`--kubeconfig=${this.#server.kubeconfig}`, '--leader-elect=false'];
    const tied = ['--pdeathsig', 'KILL', this.#program, ...flags, '--secure-port=0'];
    this.#child = spawn('setpriv', tied, { stdio: 'ignore' });
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
}
