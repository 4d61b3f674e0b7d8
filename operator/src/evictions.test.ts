// SPDX-License-Identifier: Apache-2.0
// The operator and its eviction webhook against a real API server.
import { evictionSuite } from '../testing/eviction-suite.ts';
import { guardSuite } from '../testing/guard-suite.ts';
import { describeOperator } from '../testing/running-operator.ts';

describeOperator((cluster) => {
  evictionSuite(cluster);
  guardSuite(cluster);
});
