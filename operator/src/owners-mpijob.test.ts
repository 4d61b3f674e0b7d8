// SPDX-License-Identifier: Apache-2.0
// Pods of MPIJobs move: the whole operator, a real API server, Kubernetes' own controllers and the MPI operator.
import { mpiJobSuite } from '../testing/mpijob-suite.ts';
import { lackOf, starts } from '../testing/others-operator.ts';
import { describeOperator } from '../testing/running-operator.ts';

describeOperator((cluster) => mpiJobSuite(cluster), lackOf(starts.mpi));
