// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import type { Api } from '../../../kube/src/index.ts';
import { accepted } from '../../testing/objects.ts';
import { createSecondMove } from './name-calls.ts';

it('a second move treats connections at the pod IP as the first one, where that says so itself', async () => {
  const made: { spec: object }[] = [];
  const api = {
    create: async (_resource: unknown, _namespace: string, body: { spec: object }) =>
      void made.push(body),
  } as unknown as Api;
  const signal = new AbortController().signal;
  for (const spec of [{ podIPConnections: 'Reset' }, {}]) {
    await createSecondMove(
      { api } as never,
      { type: 'CreateSecondMove', requestName: 'second', nodeName: 'c' } as never,
      { request: accepted({}, { spec }) } as never,
      { signal } as never,
    );
  }
  expect(made[0]?.spec).toMatchObject({ targetNodeName: 'c', podIPConnections: 'Reset' });
  expect(made[1]?.spec).not.toHaveProperty('podIPConnections');
});
