// SPDX-License-Identifier: Apache-2.0
// A real kube-controller-manager beside the real API server.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import type { TestServer } from '../../kube/testing/api-server.ts';
import type { Cluster } from './cluster.ts';

const controllers = [
  ...['deployment-controller', 'replicaset-controller', 'job-controller'],
  ...['statefulset-controller', 'garbage-collector-controller', 'disruption-controller'],
  'horizontal-pod-autoscaler-controller',
];

export class ControllerManager {
  readonly #server: TestServer;
  readonly #program: string;
  #child: ChildProcess | undefined;

  constructor(server: TestServer) {
    this.#server = server;
    this.#program = join(server.binaries, 'kube-controller-manager');
  }

  /** Whether the program is not there. */
  get isMissing(): boolean {
    return !existsSync(this.#program);
  }

  /** Why a test that needs it is skipped; undefined: the program is there. */
  get lack(): string | undefined {
    return this.isMissing ? 'no kube-controller-manager beside the API server' : undefined;
  }

  start(): void {
    const flags = [
      `--kubeconfig=${this.#server.kubeconfig}`,
      `--controllers=${controllers.join(',')}`,
    ];
    const others = [
      ...['--leader-elect=false', '--secure-port=0', '--concurrent-gc-syncs=2'],
      '--horizontal-pod-autoscaler-sync-period=1s',
    ];
    const tied = ['--pdeathsig', 'KILL', this.#program, ...flags, ...others];
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

/** One for the suite that calls this: it runs before the first test, if the program is there, and ends after the last. */
export function suiteControllerManager(cluster: () => Cluster): () => ControllerManager {
  let manager: ControllerManager;
  beforeAll(() => {
    manager = new ControllerManager(cluster().server);
    if (!manager.isMissing) manager.start();
  });
  afterAll(() => manager.stop());
  return () => manager;
}
