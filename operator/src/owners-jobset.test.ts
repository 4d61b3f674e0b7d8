// SPDX-License-Identifier: Apache-2.0
// Pods of JobSets move: the whole operator, a real API server, Kubernetes' own controllers and JobSet's.
import { jobSetSuite } from '../testing/jobset-suite.ts';
import { lackOf, starts } from '../testing/others-operator.ts';
import { describeOperator } from '../testing/running-operator.ts';

describeOperator((cluster) => jobSetSuite(cluster), lackOf(starts.jobSet));
