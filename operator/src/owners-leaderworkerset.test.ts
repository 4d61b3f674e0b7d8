// SPDX-License-Identifier: Apache-2.0
// Pods of LeaderWorkerSets are refused: the whole operator, a real API server, Kubernetes' own controllers and LeaderWorkerSet's.
import { leaderWorkerSetSuite } from '../testing/leaderworkerset-suite.ts';
import { lackOf, starts } from '../testing/others-operator.ts';
import { describeOperator } from '../testing/running-operator.ts';

describeOperator((cluster) => leaderWorkerSetSuite(cluster), lackOf(starts.leaderWorkerSet));
