// SPDX-License-Identifier: Apache-2.0
// For tests: the objects that a move of one pod is about.
import { MigrationRequest, type Decision } from '../../../crds/src/index.ts';
import { Pod } from '../../../kube/src/index.ts';

export const NAMESPACE = 'default';
export const REQUEST_UID = '11111111-1111-4111-8111-111111111111';
export const SOURCE_UID = '22222222-2222-4222-8222-222222222222';
export const TARGET_UID = '33333333-3333-4333-8333-333333333333';

export function migration(
  status: object = {},
  metadata: object = {},
  spec: object = {},
): MigrationRequest {
  return MigrationRequest.parse({
    metadata: { name: 'move', namespace: NAMESPACE, uid: REQUEST_UID, ...metadata },
    spec: { podName: 'app', ...spec },
    status: {
      source: { nodeName: 'node-a', podName: 'app', podUID: SOURCE_UID },
      target: {
        nodeName: 'node-b',
        podName: 'app-2',
        podUID: TARGET_UID,
        agentAddress: '192.0.2.2:7460',
      },
      ...status,
    },
  });
}

export function decision(outcome: Decision['outcome'], by = 'operator'): Decision {
  return { outcome, by, time: '2026-01-01T00:00:00Z', reason: outcome, message: '' };
}

export function pod(
  name: string,
  uid: string,
  annotations: Record<string, string> = {},
  status: object = {},
): Pod {
  return Pod.parse({
    metadata: { name, namespace: NAMESPACE, uid, annotations },
    spec: { containers: [{ name: 'main' }] },
    status,
  });
}

export function targetPod(annotations: Record<string, string> = {}): Pod {
  return pod('app-2', TARGET_UID, {
    'sealift.dev/migration': `${NAMESPACE}/move`,
    'sealift.dev/request-uid': REQUEST_UID,
    ...annotations,
  });
}
