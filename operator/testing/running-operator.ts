// SPDX-License-Identifier: Apache-2.0
// The whole operator against a real API server, for the time of a test file.
import { afterAll, beforeAll, describe } from 'vitest';
import { binaries } from '../../kube/testing/api-server.ts';
import { Cluster } from './cluster.ts';

const found = binaries();

/**
 * Skips all, and says so, where there is no API server, or what else the suites need is missing.
 * @param lackIn what that is, in the directory of the API server's programs; undefined: nothing
 */
export function describeOperator(
  suites: (cluster: () => Cluster) => void,
  lackIn: (directory: string) => string | undefined = () => undefined,
): void {
  const lack = found.missing ?? lackIn(found.directory);
  if (found.missing !== undefined) console.warn(`SKIPPED, no API server: ${found.missing}`);
  else if (lack !== undefined) console.warn(`SKIPPED: ${lack}`);
  describe.skipIf(lack !== undefined)('the operator', { timeout: 60_000 }, () => {
    let c: Cluster;

    beforeAll(async () => {
      c = await Cluster.start();
      c.startOperator();
    }, 180_000);
    afterAll(async () => {
      await c?.stop();
    });

    suites(() => c);
  });
}
