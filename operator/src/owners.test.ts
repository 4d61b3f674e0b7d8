// SPDX-License-Identifier: Apache-2.0
// Pods that have a controller move: the whole operator, a real API server and Kubernetes' own controllers.
import { afterAll, beforeAll, describe } from 'vitest';
import { binaries } from '../../kube/testing/api-server.ts';
import { Cluster } from '../testing/cluster.ts';
import { jobSuite } from '../testing/job-suite.ts';
import { replicaSetSuite } from '../testing/replicaset-suite.ts';

const found = binaries();

describe.skipIf(found.missing !== undefined)('the operator', { timeout: 60_000 }, () => {
  let c: Cluster;

  beforeAll(async () => {
    c = await Cluster.start();
    c.startOperator();
  }, 180_000);
  afterAll(async () => {
    await c?.stop();
  });

  replicaSetSuite(() => c);
  jobSuite(() => c);
});
