// SPDX-License-Identifier: Apache-2.0
// Controllers and operator are restarted, and sets roll out, while pods of theirs move: the whole operator, a real API server and
// Kubernetes' own controllers.
import { restartSuite } from '../testing/restart-suite.ts';
import { describeOperator } from '../testing/running-operator.ts';

describeOperator((cluster) => {
  restartSuite(cluster);
});
