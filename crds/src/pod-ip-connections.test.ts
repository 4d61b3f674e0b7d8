// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import {
  applied,
  connectionsText,
  MigrationPolicy,
  MigrationRequest,
  podIPConnectionsOf,
  type PodIPConnections,
} from './index.ts';

type Said = PodIPConnections | undefined;

it.each<[own: Said, policys: Said, wanted: PodIPConnections]>([
  [undefined, undefined, 'Refuse'],
  [undefined, 'Reset', 'Reset'],
  [undefined, 'Refuse', 'Refuse'],
  ['Reset', undefined, 'Reset'],
  ['Reset', 'Refuse', 'Reset'],
  ['Refuse', 'Reset', 'Refuse'],
])('a request that says %s, under a policy that says %s: %s', (own, policys, wanted) => {
  const policy = MigrationPolicy.parse({
    metadata: { name: 'web', generation: 1 },
    spec: { podIPConnections: policys },
  });
  const request = MigrationRequest.parse({
    metadata: { name: 'move' },
    spec: { podName: 'web', podIPConnections: own },
    status: { policy: applied(policy) },
  });
  expect(podIPConnectionsOf(request)).toBe(wanted);
  expect(podIPConnectionsOf({ ...request, status: undefined })).toBe(own ?? 'Refuse');
});

it('nothing else can be said', () => {
  const spec = { podName: 'web', podIPConnections: 'Drop' };
  expect(MigrationRequest.safeParse({ metadata: { name: 'move' }, spec }).success).toBe(false);
});

it.each([
  [0, '0 TCP connections'],
  [1, '1 TCP connection'],
  [2, '2 TCP connections'],
])('%i in a message', (count, text) => {
  expect(connectionsText(count)).toBe(text);
});
