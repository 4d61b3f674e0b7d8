// SPDX-License-Identifier: Apache-2.0
// Sets get another size, or have a budget, while pods of theirs move: the whole operator, a real API server and Kubernetes' own
// controllers.
import { budgetSuite } from '../testing/budget-suite.ts';
import { describeOperator } from '../testing/running-operator.ts';
import { scalingSuite } from '../testing/scaling-suite.ts';

describeOperator((cluster) => {
  scalingSuite(cluster);
  budgetSuite(cluster);
});
