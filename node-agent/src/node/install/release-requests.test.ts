// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { finalizers } from '../../../../crds/src/index.ts';
import {
  ApiError,
  checkpointRequests,
  migrationRequests,
  restoreRequests,
  type Api,
  type Resource,
} from '../../../../kube/src/index.ts';
import { refuseWhileRequestsRun, releaseRequests } from './release-requests.ts';

interface Stored {
  metadata: {
    name: string;
    namespace: string;
    uid: string;
    resourceVersion: string;
    finalizers: string[];
  };
  spec: object;
  status?: object;
}
const lastTransitionTime = '2026-01-01T00:00:00Z';
const ended = {
  conditions: [
    { type: 'Succeeded', status: 'True', reason: 'Moved', message: '', lastTransitionTime },
  ],
};
const request = (name: string, own: string[], status: object | undefined = ended): Stored => ({
  metadata: { name, namespace: 'team', uid: name, resourceVersion: '1', finalizers: own },
  spec: { podName: 'p', checkpointName: 'c' },
  ...(status && { status }),
});

/** What lists and merge patches of an API server do, with a version of each object. */
class Requests {
  readonly #kinds: Map<Resource<unknown>, Stored[]>;
  /** Called before each write. */
  interfere: (() => void) | undefined;

  constructor(kinds: [Resource<unknown>, Stored[]][]) {
    this.#kinds = new Map(kinds);
  }

  /** A kind without an entry has no definition. */
  readonly api = {
    list: async (resource: Resource<unknown>) => {
      const items = this.#kinds.get(resource);
      if (!items) throw new ApiError(404, 'NotFound', 'no such kind');
      return { items: structuredClone(items), resourceVersion: '1' };
    },
    merge: async (
      resource: Resource<unknown>,
      ...[, name, patch]: [string, string, Pick<Stored, 'metadata'>]
    ) => {
      this.interfere?.();
      const found = this.#kinds.get(resource)?.find((one) => one.metadata.name === name);
      if (!found) throw new ApiError(404, 'NotFound', 'gone');
      if (found.metadata.resourceVersion !== patch.metadata.resourceVersion)
        throw new ApiError(409, 'Conflict', 'modified');
      found.metadata.finalizers = patch.metadata.finalizers;
      found.metadata.resourceVersion += '1';
    },
  } as unknown as Api;
}

describe('requests that stay after an uninstall', () => {
  it('lose Sealift’s finalizers and keep those of others', async () => {
    const own = [finalizers.active, finalizers.images];
    const moved = request('moved', ['example.com/audit', ...own]);
    const stored = request('stored', own);
    const plain = request('plain', ['example.com/audit']);
    const requests = new Requests([
      [migrationRequests, [moved, plain]],
      [checkpointRequests, [stored]],
      [restoreRequests, []],
    ]);
    await refuseWhileRequestsRun(requests.api);
    expect(await releaseRequests(requests.api)).toBe(2);
    expect(moved.metadata.finalizers).toEqual(['example.com/audit']);
    expect(stored.metadata.finalizers).toEqual([]);
    expect(plain.metadata).toMatchObject({
      finalizers: ['example.com/audit'],
      resourceVersion: '1',
    });
    expect(await releaseRequests(requests.api), 'again').toBe(0);
  });

  it('are those of the kinds that are defined', async () => {
    const stored = request('stored', [finalizers.images]);
    const requests = new Requests([[checkpointRequests, [stored]]]);
    await refuseWhileRequestsRun(requests.api);
    expect(await releaseRequests(requests.api)).toBe(1);
  });

  it('keep what somebody adds at the same time', async () => {
    const stored = request('stored', [finalizers.images]);
    const requests = new Requests([[checkpointRequests, [stored]]]);
    requests.interfere = () => {
      requests.interfere = undefined;
      stored.metadata.finalizers = [finalizers.images, 'example.com/late'];
      stored.metadata.resourceVersion = '7';
    };
    expect(await releaseRequests(requests.api)).toBe(1);
    expect(stored.metadata.finalizers).toEqual(['example.com/late']);
  });

  it.each<[string, object | undefined]>([
    ['has not begun', undefined],
    ['is under way', { phase: 'Holding', source: { nodeName: 'a' } }],
  ])('keep the uninstall from beginning while one %s', async (_name, status) => {
    const open: Stored = { ...request('open', []), status: status ?? {} };
    const requests = new Requests([
      [migrationRequests, [request('moved', []), open]],
      [restoreRequests, []],
      [checkpointRequests, []],
    ]);
    await expect(refuseWhileRequestsRun(requests.api)).rejects.toMatchObject({
      code: 'RequestsLeft',
      message: expect.stringContaining('1 requests') as string,
    });
    await expect(refuseWhileRequestsRun(requests.api)).rejects.toThrow(
      'MigrationRequest team/open',
    );
  });
});
