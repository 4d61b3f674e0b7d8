// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { finalizers } from '../../../../crds/src/index.ts';
import {
  ApiError,
  checkpointRequests,
  migrationRequests,
  restoreRequests,
  silent,
  type Api,
  type Resource,
} from '../../../../kube/src/index.ts';
import { refuseWhileRequestsRun, releaseRequests } from './release-requests.ts';
import { uninstallNodes } from './uninstall-nodes.ts';

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

  /** A kind without an entry has no definition. There is no DaemonSet. */
  readonly api = {
    get: async () => {
      throw new ApiError(404, 'NotFound', 'no DaemonSet');
    },
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

  describe('where the DaemonSet is gone', () => {
    const o = {
      ...{ namespace: 'sealift', name: 'sealift-agent', handler: 'sealift' },
      ...{ everyMs: 2, limitMs: 10_000 },
    };

    it('are left as they are while one has not finished', async () => {
      const own = [finalizers.active];
      const [moved, open] = [request('moved', own), { ...request('open', own), status: {} }];
      const requests = new Requests([[migrationRequests, [moved, open]]]);
      await expect(uninstallNodes(requests.api, silent, o)).rejects.toMatchObject({
        code: 'RequestsLeft',
      });
      for (const { metadata } of [moved, open]) expect(metadata.finalizers).toEqual(own);
    });

    it('are looked at again: the operator still runs, and takes what is asked of it', async () => {
      const moved = request('moved', [finalizers.active]);
      const all = [moved];
      const requests = new Requests([
        [migrationRequests, all],
        [checkpointRequests, [request('stored', [finalizers.images])]],
      ]);
      let writes = 0;
      requests.interfere = () => {
        writes++;
        // While the checkpoints are looked at.
        if (writes === 2) all.push(request('late', [finalizers.active]));
        if (writes === 3) setTimeout(() => moved.metadata.finalizers.push(finalizers.active), 1);
      };
      await uninstallNodes(requests.api, silent, o);
      expect(all.map(({ metadata }) => metadata.finalizers)).toEqual([[], []]);
    });

    it('are not looked at for ever', async () => {
      const open = request('open', [finalizers.active]);
      const requests = new Requests([[migrationRequests, [open]]]);
      requests.interfere = () =>
        void setTimeout(() => (open.metadata.finalizers = [finalizers.active]), 0);
      await uninstallNodes(requests.api, silent, { ...o, limitMs: 50 });
    });
  });
});
