// SPDX-License-Identifier: Apache-2.0
// Pods of StatefulSets move between two nodes: the whole operator, a real API server and Kubernetes' own controllers.
import { describeOperator } from '../testing/running-operator.ts';
import { twoNodesSuite } from '../testing/two-nodes-suite.ts';

describeOperator((cluster) => {
  twoNodesSuite(cluster);
});
