// SPDX-License-Identifier: Apache-2.0
// For tables: a pod of StatefulSet `p` on node a, whose landing pod runs on node b.
import type { Observed } from '../src/migration/types.ts';
import { namespaceOwner } from '../src/target-pod/ownership.ts';
import { at, container, decision, node, target } from './objects.ts';

export const set = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'p', uid: 'set-uid' };
export const controller = { ...set, handover: 'ByName' };
/** A landing pod's, which belongs to its namespace. */
export const nobody = [namespaceOwner('default', 'namespace-uid')];
export const source = { nodeName: 'a', podName: 'p', podUID: 'pod-uid', controller };
export const nodes = ['a', 'b', 'c'].map((name) => node(name));

export const ready = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };
export const landing = (status: object = ready, metadata: object = {}): Observed['targetPod'] =>
  target('request-uid', {
    metadata: { labels: {}, ownerReferences: nobody, ...metadata },
    status: { containerStatuses: [container({ running: {} }, { ready: true })], ...status },
  });

/** Of the request that has made it, once it runs. */
export const landed = {
  source,
  decision: decision('Committed'),
  deadlines: { confirmation: at(300), blackout: at(60) },
  sourceAgent: { state: 'Gone' },
  targetAgent: { state: 'Running', resumedAt: at(11) },
};
