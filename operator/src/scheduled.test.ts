// SPDX-License-Identifier: Apache-2.0
// Where targets are put: the whole operator, a real API server and Kubernetes' own scheduler.
import { describeOperator } from '../testing/running-operator.ts';
import { schedulerSuite } from '../testing/scheduler-suite.ts';

describeOperator((cluster) => schedulerSuite(cluster));
