// SPDX-License-Identifier: Apache-2.0
// The keys of stored images in a real API server, with the Secret and the rights that the chart makes.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { imageKeyId, imageKeys, imageKeyTime } from '../../../crds/src/index.ts';
import { secrets, silent } from '../../../kube/src/index.ts';
import { binaries, startApiServer, type TestServer } from '../../../kube/testing/api-server.ts';
import { render } from '../../../kube/testing/chart.ts';
import { clockAt } from '../../../kube/testing/clock.ts';
import { dueKey, ImageKeyStore } from './image-key-store.ts';

const DAY = 24 * 3_600_000;
const NOW = Date.UTC(2026, 10, 29, 15, 48);
const key = (): string => randomBytes(32).toString('base64');

describe('a key’s name', () => {
  it('says when it was made, and sorts by that', () => {
    expect(imageKeyId(NOW)).toBe('20261129T154800Z');
    expect(imageKeyTime('20261129T154800Z')).toBe(NOW);
    expect(imageKeyId(NOW) < imageKeyId(NOW + 1000)).toBe(true);
    expect(['x', '', '2026', '20261399T154800Z', '..data'].map(imageKeyTime)).toEqual([
      ...Array.from({ length: 5 }),
    ]);
  });
});

describe('a key', () => {
  it.each<[string, Record<string, string>, boolean]>([
    ['is due in an empty Secret', {}, true],
    ['is due where there are only other things', { note: key() }, true],
    ['is due beside one that is no key', { [imageKeyId(NOW - DAY)]: 'AAAA' }, true],
    ['is not due beside one of this year', { [imageKeyId(NOW - 364 * DAY)]: key() }, false],
    ['is due after a year', { [imageKeyId(NOW - 365 * DAY)]: key() }, true],
    ['is not due when the clock has gone back', { [imageKeyId(NOW + DAY)]: key() }, false],
    ['never takes the place of another', { [imageKeyId(NOW)]: 'AAAA' }, false],
  ])('%s', (_what, data, isDue) => {
    expect(dueKey(data, NOW)).toBe(isDue ? imageKeyId(NOW) : undefined);
  });
});

const found = binaries();

describe.skipIf(found.missing !== undefined)('the Secret of the chart', { timeout: 60_000 }, () => {
  let server: TestServer;
  let hasChart = true;
  let store: ImageKeyStore;
  let later = 0;
  const data = async () => (await server.client.get(secrets, 'sealift', imageKeys.secret)).data;

  beforeAll(async () => {
    server = await startApiServer();
    await server.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'sealift' } });
    for (const template of ['rbac.yaml', 'image-keys.yaml']) {
      const manifests = render(server, template);
      hasChart &&= manifests !== undefined;
      for (const one of manifests ?? []) await server.create(one);
    }
    store = new ImageKeyStore({
      ...{ api: server.connect('sealift:sealift-operator'), log: silent },
      ...{ namespace: 'sealift', secret: imageKeys.secret },
      clock: clockAt(() => Date.now() + later),
    });
  }, 180_000);
  afterAll(async () => {
    await server?.stop();
  });

  it('gets one key, and another one after a year, and keeps the first', async ({ skip }) => {
    if (!hasChart) return skip('no helm beside the API server');
    expect(await data()).toEqual({});
    await store.refresh();
    const first = await data();
    const [[id = '', value = ''] = []] = Object.entries(first);
    expect(imageKeyTime(id)).toBeLessThanOrEqual(Date.now());
    expect(Buffer.from(value, 'base64')).toHaveLength(32);
    await store.refresh();
    expect(await data()).toEqual(first);
    later = 366 * DAY;
    await store.refresh();
    const second = await data();
    expect(Object.keys(second)).toHaveLength(2);
    expect(second[id]).toBe(value);
  });

  it('is read by nobody but the operator', async ({ skip }) => {
    if (!hasChart) return skip('no helm beside the API server');
    const agent = server.connect('sealift:sealift-agent');
    await expect(agent.get(secrets, 'sealift', imageKeys.secret)).rejects.toMatchObject({
      code: 'Forbidden',
    });
    const operator = server.connect('sealift:sealift-operator');
    await expect(operator.get(secrets, 'sealift', 'another')).rejects.toMatchObject({
      code: 'Forbidden',
    });
    await expect(operator.delete(secrets, 'sealift', imageKeys.secret)).rejects.toMatchObject({
      code: 'Forbidden',
    });
  });

  it('that is missing is named', async ({ skip }) => {
    if (!hasChart) return skip('no helm beside the API server');
    await server.client.delete(secrets, 'sealift', imageKeys.secret);
    await expect(store.refresh()).rejects.toThrow(/sealift\/sealift-image-keys is missing/);
  });
});
