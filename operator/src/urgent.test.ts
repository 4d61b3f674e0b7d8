// SPDX-License-Identifier: Apache-2.0
// Which requests wait for no others.
import { describe, expect, it } from 'vitest';
import type { MigrationRequest, RestoreRequest } from '../../crds/src/index.ts';
import { ApiError, silent, type Api, type Resource } from '../../kube/src/index.ts';
import { accepted, migration, restore, succeeded } from '../testing/objects.ts';
import { isUnderWay, Operator } from './operator.ts';

const queued = migration({
  status: { queue: { position: 7, waitsFor: 'Cluster', sourceNodeName: 'a' } },
});
const finished = accepted({ conditions: [succeeded('True', 'Moved')] });

describe('a request', () => {
  it.each<[string, MigrationRequest | undefined, boolean]>([
    ['that is new', migration(), false],
    ['that waits in the queue', queued, false],
    ['that is under way', accepted(), true],
    ['that has ended', finished, false],
    ['that is gone', undefined, false],
  ])('%s is under way: %s', (_name, request, expected) => {
    expect(isUnderWay(request)).toBe(expected);
  });
});

/**
 * Runs the operator itself. The API server answers nothing about requests that are new.
 * @param kind of the requests
 * @param requests those that are new first
 */
async function expectLookedAt(
  kind: string,
  requests: readonly (MigrationRequest | RestoreRequest)[],
): Promise<void> {
  const stop = new AbortController();
  const looked = Promise.withResolvers<void>();
  const asked: string[] = [];
  const get = (resource: Resource<unknown>, _namespace: string, name: string): Promise<never> => {
    if (resource.kind !== kind || name.startsWith('new-')) {
      if (resource.kind === kind) asked.push(name);
      return new Promise(() => undefined);
    }
    looked.resolve();
    return Promise.reject(new ApiError(404, 'NotFound', 'gone'));
  };
  const api = {
    ...{ get, getRaw: get },
    list: async (resource: Resource<unknown>) => ({
      items: resource.kind === kind ? requests : [],
      resourceVersion: '1',
    }),
    async *watch(_resource: unknown, _version: unknown, { signal }: { signal: AbortSignal }) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    },
  } as unknown as Api;
  new Operator({ api, log: silent }).run(stop.signal).catch(looked.reject);
  await looked.promise;
  expect(asked.length, 'the other workers wait for what is new').toBeLessThanOrEqual(4);
  stop.abort();
}

describe('a request under way', () => {
  const names = Array.from({ length: 500 }, (_, at) => `new-${at}`);
  const metadata = (name: string) => ({ metadata: { name, uid: name } });

  it('is looked at by the operator while hundreds of migrations are new', async () => {
    const others = names.map((name) => migration(metadata(name)));
    await expectLookedAt('MigrationRequest', [...others, accepted()]);
  });

  it('is looked at by the operator while hundreds of restores are new', async () => {
    const others = names.map((name) => restore(metadata(name)));
    const source = { nodeName: 'a', podName: 'p' };
    const begun = restore({ ...metadata('begun'), status: { source } });
    await expectLookedAt('RestoreRequest', [...others, begun]);
  });
});
