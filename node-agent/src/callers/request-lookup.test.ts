// SPDX-License-Identifier: Apache-2.0
// Whose target a pod is. Every user who may create pods in a namespace may write the annotations.
import { describe, expect, it } from 'vitest';
import { annotations, podConditions } from '../../../crds/src/index.ts';
import { migrationRequests, Pod, pods } from '../../../kube/src/index.ts';
import { MemoryApi } from '../testing/api.ts';
import {
  decision,
  migration,
  NAMESPACE,
  pod,
  REQUEST_UID,
  TARGET_UID,
} from '../testing/objects.ts';
import { requestOf, RequestLookup } from './request-lookup.ts';

const OTHER_UID = '44444444-4444-4444-8444-444444444444';
const claims = {
  'sealift.dev/migration': `${NAMESPACE}/move`,
  'sealift.dev/request-uid': REQUEST_UID,
};
const withoutUid = { 'sealift.dev/migration': `${NAMESPACE}/move` };

function lookUp(name: string, uid: string, annotations: Record<string, string>, status?: object) {
  const api = new MemoryApi();
  api.put(migrationRequests, migration(status));
  return new RequestLookup(api).targetRequest(pod(name, uid, annotations));
}

const named = { kind: 'MigrationRequest', key: `${NAMESPACE}/move` } as const;
/** The request that the informers find for a pod that names none. */
function byInformer(request: ReturnType<typeof migration>) {
  const api = new MemoryApi();
  api.put(migrationRequests, request);
  return { api, lookup: new RequestLookup(api, () => named) };
}
const target = (podUID?: string) => ({ target: { nodeName: 'node-b', podName: 'app-2', podUID } });

describe('the request whose target a pod is', () => {
  it('is the one that names it', async () => {
    expect(await lookUp('app-2', TARGET_UID, {})).toBeUndefined();
    expect(await lookUp('app-2', TARGET_UID, claims)).toMatchObject({ key: `${NAMESPACE}/move` });
    // The operator has created the pod and not recorded its UID yet.
    expect(await lookUp('app-2', TARGET_UID, claims, target())).toBeDefined();
  });

  it('is the one that names it, also if its annotation was removed', async () => {
    const { lookup } = byInformer(migration());
    expect(await lookup.targetRequest(pod('app-2', TARGET_UID, {}))).toMatchObject(named);
  });

  it('is none for a pod that has the name of a target which was never made', async () => {
    const { api, lookup } = byInformer(migration({ ...target(), decision: decision('Aborted') }));
    const own = pod('app-2', OTHER_UID);
    expect(await lookup.targetRequest(own), 'a StatefulSet made it').toBeUndefined();
    const readinessGates = [{ conditionType: podConditions.committed }];
    const made = Pod.parse({ ...own, spec: { ...own.spec, readinessGates } });
    expect(await lookup.targetRequest(made), 'the operator made it').toMatchObject(named);
    api.put(migrationRequests, migration(target(TARGET_UID)));
    expect(await lookup.targetRequest(made), 'the informer was behind').toBeUndefined();
  });

  it('is the one that made the pod, and not an earlier one that had its name for a target never made', () => {
    const readinessGates = [{ conditionType: podConditions.committed }];
    const moved = pod('app-2', TARGET_UID, { [annotations.requestUid]: REQUEST_UID });
    const landed = Pod.parse({ ...moved, spec: { ...moved.spec, readinessGates } });
    const early = migration(target(), { name: 'early', uid: OTHER_UID });
    expect(requestOf(landed, [early])).toBeUndefined();
    const mute = Pod.parse({ ...landed, metadata: { ...landed.metadata, annotations: {} } });
    for (const all of [
      [early, migration()],
      [migration(), early],
    ]) {
      for (const one of [landed, mute]) expect(requestOf(one, all)?.metadata.name).toBe('move');
    }
  });

  it.each([
    ['of another name', 'app-3', OTHER_UID, claims, undefined],
    ['of another name, without the request’s UID', 'app-3', OTHER_UID, withoutUid, undefined],
    ['of another UID', 'app-2', OTHER_UID, claims, undefined],
    ['of another name before the target is known', 'app-3', OTHER_UID, claims, target()],
    ['of a request without a target', 'app-2', TARGET_UID, claims, { target: undefined }],
  ] as const)('is none for a pod %s', async (_what, name, uid, annotations, status) => {
    await expect(lookUp(name, uid, annotations, status)).rejects.toMatchObject({
      code: 'BadRequest',
    });
  });
});

describe('the pod that a call is about', () => {
  const HASH = 'd1f0e2c3b4a5968778695a4b3c2d1e0f';
  const get = (annotations: Record<string, string>, podUid: string) => {
    const api = new MemoryApi();
    api.put(pods, pod('app-2', TARGET_UID, annotations));
    return new RequestLookup(api).getPod({ namespace: NAMESPACE, pod: 'app-2', podUid });
  };

  it('has the UID that the call names', async () => {
    expect((await get({}, TARGET_UID)).metadata.uid).toBe(TARGET_UID);
    expect((await get({}, '')).metadata.uid).toBe(TARGET_UID);
    await expect(get({}, OTHER_UID)).rejects.toMatchObject({ code: 'PodNotFound' });
  });

  it('may be static: its kubelet calls it by the hash of its file', async () => {
    const mirror = { 'kubernetes.io/config.mirror': HASH, 'kubernetes.io/config.hash': HASH };
    expect((await get(mirror, HASH)).metadata.uid).toBe(TARGET_UID);
    await expect(get(mirror, OTHER_UID)).rejects.toMatchObject({ code: 'PodNotFound' });
  });
});
