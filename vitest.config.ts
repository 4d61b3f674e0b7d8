// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: [
      '{bench,crds,kube,kubectl-plugin,operator,node-agent,e2e,native,simulation,spec}/**/*.test.ts',
    ],
    exclude: ['**/node_modules/**', 'build/**'],
    testTimeout: 20_000,
    // A poll that succeeds takes as long as it must, also on a machine that has other work.
    expect: { poll: { timeout: 10_000 } },
  },
});
