// SPDX-License-Identifier: Apache-2.0
// The operator and its eviction webhook against a real API server.
import { afterAll, beforeAll, describe } from 'vitest';
import { binaries } from '../../kube/testing/api-server.ts';
import { Cluster } from '../testing/cluster.ts';
import { evictionSuite } from '../testing/eviction-suite.ts';
import { guardSuite } from '../testing/guard-suite.ts';

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

  evictionSuite(() => c);
  guardSuite(() => c);
});
