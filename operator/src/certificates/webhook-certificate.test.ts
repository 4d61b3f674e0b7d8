// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { ApiError, secrets, type Api } from '../../../kube/src/index.ts';
import { webhookToken } from './webhook-certificate.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const of = { namespace: 'sealift', secret: 'ca' };

/** A Secret, and what a merge patch does to it. */
function secretOf(data: Record<string, string>) {
  let stored = { metadata: { namespace: 'sealift', name: 'ca', resourceVersion: '1' }, data };
  const patches: object[] = [];
  const api = {
    get: async () => secrets.parse(structuredClone(stored)),
    merge: async (...[, , , patch]: [unknown, string, string, typeof stored]) => {
      const { metadata, data: changed } = patch;
      if (metadata.resourceVersion !== stored.metadata.resourceVersion)
        throw new ApiError(409, 'Conflict', 'modified');
      patches.push(changed);
      const merged = Object.entries({ ...stored.data, ...changed });
      stored = {
        metadata: { ...metadata, namespace: 'sealift', name: 'ca', resourceVersion: '2' },
        data: Object.fromEntries(merged.filter(([, value]) => value !== null)),
      };
    },
  } as unknown as Api;
  return { parts: { api, ...of }, patches, data: () => stored.data };
}

describe('the secret part of the webhook’s path', () => {
  const keys = { 'tls.crt': base64('certificate'), 'tls.key': base64('key') };

  it('is made once', async () => {
    const secret = secretOf(keys);
    expect(await webhookToken(secret.parts, () => 'first')).toBe('first');
    expect(await webhookToken(secret.parts, () => 'second')).toBe('first');
    expect(secret.patches).toHaveLength(1);
    expect(secret.data()).toEqual({ ...keys, path: base64('first') });
  });

  it('is another one after an earlier release, which showed its own to whoever evicted a pod', async () => {
    const secret = secretOf({ ...keys, token: base64('shown') });
    expect(await webhookToken(secret.parts, () => 'fresh')).toBe('fresh');
    expect(secret.data()).toEqual({ ...keys, path: base64('fresh') });
  });

  it('stays when a replica of an earlier release has made its own again', async () => {
    const secret = secretOf({ ...keys, path: base64('kept'), token: base64('shown') });
    expect(await webhookToken(secret.parts, () => 'fresh')).toBe('kept');
    expect(secret.data()).toEqual({ ...keys, path: base64('kept') });
  });
});
