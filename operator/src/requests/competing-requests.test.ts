// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { CheckpointRequest, MigrationRequest } from '../../../crds/src/index.ts';
import {
  EventRecorder,
  Informer,
  nodes,
  silent,
  type Api,
  type Resource,
} from '../../../kube/src/index.ts';
import { accepted, migration, succeeded } from '../../testing/objects.ts';
import { seenCompeting } from './competing-requests.ts';
import { Dependencies, type Watched } from './dependencies.ts';

const request = migration({ metadata: { name: 'new', uid: 'new' } });
const other = accepted({}, { metadata: { name: 'other', uid: 'other' } });
const ended = accepted(
  { conditions: [succeeded('True', 'Moved')] },
  { metadata: { name: 'other', uid: 'other', resourceVersion: '9' } },
);

/** @param watched what the caches have; undefined: there are none. @param stored what the API server has */
async function seen(
  watched: readonly MigrationRequest[] | undefined,
  stored: readonly MigrationRequest[],
): Promise<{ found: string[]; lists: number }> {
  let lists = 0;
  const api = {
    list: (resource: Resource<unknown>) => {
      lists++;
      const items = resource.kind === 'MigrationRequest' ? stored : [];
      return Promise.resolve({ items, resourceVersion: '1' });
    },
  } as unknown as Api;
  const none = { get: () => undefined, list: (): CheckpointRequest[] => [] };
  const caches: Watched | undefined = watched && {
    migrations: { get: () => undefined, list: () => [...watched] },
    restores: { get: () => undefined },
    checkpoints: none,
    pods: none,
  };
  const dependencies = new Dependencies({
    ...{ api, watched: caches, nodes: new Informer({ api, resource: nodes, log: silent }) },
    events: new EventRecorder({ api, log: silent, component: 'test' }),
  });
  const found = await seenCompeting(dependencies, request, new AbortController().signal);
  return { lists, found: found.map(({ metadata }) => metadata.name) };
}

describe('other requests for the pod of a new one', () => {
  it('are not asked for if no watch knows of any', async () => {
    expect(await seen([request], [request])).toEqual({ found: [], lists: 0 });
  });

  it('are not those of other pods, nor of other namespaces', async () => {
    const elsewhere = migration({ metadata: { name: 'other', uid: 'x', namespace: 'elsewhere' } });
    const ofOther = migration({ metadata: { name: 'q', uid: 'q' }, spec: { podName: 'q' } });
    expect(await seen([elsewhere, ofOther], [])).toEqual({ found: [], lists: 0 });
  });

  it('are read as they are now if a watch knows of one', async () => {
    expect(await seen([request, other], [request, ended])).toEqual({ found: ['other'], lists: 2 });
    expect(await seen([request, other], [request])).toEqual({ found: [], lists: 2 });
  });

  it('are read where nothing is watched', async () => {
    expect(await seen(undefined, [request, other])).toEqual({ found: ['other'], lists: 2 });
  });
});
