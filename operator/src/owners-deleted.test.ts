// SPDX-License-Identifier: Apache-2.0
// Controllers are deleted while pods of theirs move: the whole operator, a real API server and Kubernetes' own controllers.
import { deletionSuite } from '../testing/deletion-suite.ts';
import { describeOperator } from '../testing/running-operator.ts';

describeOperator((cluster) => {
  deletionSuite(cluster);
});
