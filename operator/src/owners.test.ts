// SPDX-License-Identifier: Apache-2.0
// Pods that have a controller move: the whole operator, a real API server and Kubernetes' own controllers.
import { jobSuite } from '../testing/job-suite.ts';
import { replicaSetSuite } from '../testing/replicaset-suite.ts';
import { describeOperator } from '../testing/running-operator.ts';

describeOperator((cluster) => {
  replicaSetSuite(cluster);
  jobSuite(cluster);
});
