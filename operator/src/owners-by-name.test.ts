// SPDX-License-Identifier: Apache-2.0
// Pods whose controller finds them by their names move: the whole operator, a real API server and Kubernetes' own controllers.
import { crewSuite } from '../testing/crew-suite.ts';
import { describeOperator } from '../testing/running-operator.ts';
import { statefulSetSuite } from '../testing/statefulset-suite.ts';

describeOperator((cluster) => {
  statefulSetSuite(cluster);
  crewSuite(cluster);
});
