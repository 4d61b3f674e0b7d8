// SPDX-License-Identifier: Apache-2.0
// What a dry run asks the API server for, and what it makes of the answers.
import { describe, expect, it } from 'vitest';
import { annotations } from '../../../crds/src/index.ts';
import {
  ApiError,
  ConnectionError,
  EventRecorder,
  Informer,
  nodes,
  silent,
  type Api,
  type Node,
  type Resource,
} from '../../../kube/src/index.ts';
import { accepted, migration, node, pod, succeeded } from '../../testing/objects.ts';
import { Dependencies } from '../requests/dependencies.ts';
import { tryTarget } from './target-manifest.ts';

type Made = { readonly metadata: { readonly name: string }; readonly spec: object };
const dry = migration({ spec: { dryRun: true } });
const spec = { runtimeClassName: 'sealift', containers: [{ name: 'main', image: 'x' }] };

describe('a dry run', () => {
  const asked: { body: Made; options: object }[] = [];
  async function look(
    parts: {
      readonly request?: typeof dry;
      readonly source?: ReturnType<typeof pod>;
      readonly all?: Node[];
      readonly raw?: object | Error;
      readonly answer?: (body: Made) => unknown;
    } = {},
  ): Promise<unknown> {
    const { request = dry, source = pod(), all = [node('a'), node('b')] } = parts;
    const { metadata } = pod();
    const { raw = { metadata, spec, status: {} }, answer = (body: Made) => body } = parts;
    asked.length = 0;
    const api = {
      get: (_of: Resource<unknown>, _namespace: string, name: string) =>
        Promise.resolve({ metadata: { name, uid: 'namespace-uid' } }),
      getRaw: () => (raw instanceof Error ? Promise.reject(raw) : Promise.resolve(raw)),
      create: (_of: Resource<unknown>, _namespace: string, body: Made, options: object) => {
        asked.push({ body, options });
        const answered = answer(body);
        if (answered instanceof Error) return Promise.reject(answered);
        return Promise.resolve(answered);
      },
    } as unknown as Api;
    const cache = new Informer({ api, resource: nodes, log: silent });
    cache.list = () => all;
    const events = new EventRecorder({ api, log: silent, component: 'test' });
    const dependencies = new Dependencies({ api, events, nodes: cache });
    return tryTarget(dependencies, request, source, new AbortController().signal);
  }

  it('has the API server make the target, and store nothing', async () => {
    const target = { metadata: { name: 'p-reque' }, spec: { containers: [{ name: 'main' }] } };
    expect(await look()).toMatchObject({ target });
    expect(asked).toMatchObject([{ body: target, options: { dryRun: true } }]);
    const named = migration({ spec: { dryRun: true, targetNodeName: 'c' } });
    await look({ request: named });
    expect(JSON.stringify(asked[0]?.body)).toContain('["c"]');
  });

  it.each<[string, Parameters<typeof look>[0]]>([
    ['a move', { request: migration() }],
    ['one that has begun', { request: accepted({}, { spec: { dryRun: true } }) }],
    [
      'one that has ended',
      {
        request: migration({
          spec: { dryRun: true },
          status: { completionTime: 'x', conditions: [succeeded('False', 'NotMovable')] },
        }),
      },
    ],
    ['a pod without a node', { source: pod({ spec: { nodeName: '' } }) }],
    ['no other node', { all: [node('a'), node('b', { abi: null })] }],
    ['another pod of that name', { raw: { metadata: { ...pod().metadata, uid: 'x' }, spec } }],
    ['a pod that was deleted', { raw: new ApiError(404, 'NotFound', 'no pod') }],
  ])('asks for nothing for %s', async (_what, parts) => {
    expect(await look(parts)).toBeUndefined();
    expect(asked).toEqual([]);
  });

  const unsupported = 'admission webhook "x" does not support dry run';
  it.each<[ApiError, object]>([
    [new ApiError(403, 'Forbidden', 'exceeded quota.'), { rejection: 'exceeded quota.' }],
    [new ApiError(422, 'Invalid', 'bad.'), { rejection: 'bad.' }],
    [new ApiError(400, 'BadRequest', 'denied.'), { rejection: 'denied.' }],
    [new ApiError(400, 'BadRequest', unsupported), { untried: unsupported }],
    [new ApiError(500, 'InternalError', 'no webhook.'), { untried: 'no webhook.' }],
    [new ApiError(409, 'AlreadyExists', 'exists.'), { untried: 'exists.' }],
  ])('reads an answer: %s', async (error, expected) => {
    expect(await look({ answer: () => error })).toEqual(expected);
  });

  it('names networks that cannot be read, and asks again when nobody answers', async () => {
    const metadata = { ...pod().metadata, annotations: { [annotations.networks]: '[{' } };
    const raw = { metadata, spec, status: {} };
    expect(await look({ raw })).toEqual({ rejection: expect.any(String) as string });
    const answer = (): Error => new ConnectionError('Unreachable', 'no answer');
    await expect(look({ answer })).rejects.toThrow('no answer');
  });
});
