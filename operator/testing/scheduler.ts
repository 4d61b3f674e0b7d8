// SPDX-License-Identifier: Apache-2.0
// A real kube-scheduler beside the real API server.
import type { TestServer } from '../../kube/testing/api-server.ts';
import { ControlPlaneProgram } from './control-plane-program.ts';

export class Scheduler extends ControlPlaneProgram {
  constructor(server: TestServer) {
    super(server, 'kube-scheduler');
  }
}
