// SPDX-License-Identifier: Apache-2.0
// A real kube-controller-manager beside the real API server.
import { afterAll, beforeAll } from 'vitest';
import type { TestServer } from '../../kube/testing/api-server.ts';
import type { Cluster } from './cluster.ts';
import { ControlPlaneProgram } from './control-plane-program.ts';

const controllers = [
  ...['deployment-controller', 'replicaset-controller', 'job-controller'],
  ...['statefulset-controller', 'garbage-collector-controller', 'disruption-controller'],
  'horizontal-pod-autoscaler-controller',
];

export class ControllerManager extends ControlPlaneProgram {
  constructor(server: TestServer) {
    super(server, 'kube-controller-manager', [
      `--controllers=${controllers.join(',')}`,
      ...['--concurrent-gc-syncs=2', '--horizontal-pod-autoscaler-sync-period=1s'],
    ]);
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
