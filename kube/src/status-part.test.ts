// SPDX-License-Identifier: Apache-2.0
// Part writes against one object that others write too. The patch is carried out as RFC 6902 says; api-server.test.ts has the
// real server.
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { MigrationRequest } from '../../crds/src/index.ts';
import type { Api, JsonPatch } from './api.ts';
import { ApiError } from './errors.ts';
import { migrationRequests } from './resource.ts';
import { writePart } from './status-part.ts';

/** One stored request. */
class OneObject {
  stored = request('1', 'uid', { source: { nodeName: 'a' } });
  requests = 0;

  readonly api = {
    jsonPatch: async (
      _resource: unknown,
      _namespace: string,
      _name: string,
      patch: JsonPatch[],
    ) => {
      this.requests++;
      for (const { op, path, value } of patch) {
        if (op === 'test' && !isDeepStrictEqual(member(this.stored, path), value))
          throw new ApiError(422, 'Invalid', `test of ${path} failed`);
      }
      const add = patch.at(-1);
      this.write({ [add?.path.split('/').pop() ?? '']: add?.value });
      return this.stored;
    },
    get: async () => {
      this.requests++;
      return this.stored;
    },
  } as unknown as Api;

  write(status: object): void {
    const { metadata, status: before } = this.stored;
    const version = String(Number(metadata.resourceVersion) + 1);
    this.stored = request(version, metadata.uid, { ...before, ...status });
  }
}

function request(resourceVersion: string, uid: string, status: object): MigrationRequest {
  const metadata = { name: 'move', namespace: 'default', uid, resourceVersion };
  return migrationRequests.parse({ metadata, spec: { podName: 'p' }, status });
}
const member = (object: unknown, pointer: string): unknown =>
  pointer
    .split('/')
    .slice(1)
    .reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], object);

const write = (one: OneObject, object: MigrationRequest, state: string, known?: object) =>
  writePart(one.api, {
    ...{ resource: migrationRequests, object, manager: 'm', field: 'sourceAgent' },
    ...{ value: { state, reason: undefined }, known },
  });

describe('a part of a status', () => {
  it('is written in one request, however often others have written meanwhile', async () => {
    const one = new OneObject();
    one.write({ sourceAgent: { state: 'Holding' } });
    const read = one.stored;
    one.write({ phase: 'Holding' });
    one.write({ targetAgent: { state: 'AtCreateGate' } });
    expect(await write(one, read, 'Dumping')).toBe(one.stored.metadata.resourceVersion);
    expect(one.requests).toBe(1);
    expect(one.stored.status).toMatchObject({
      sourceAgent: { state: 'Dumping' },
      phase: 'Holding',
    });
  });

  it('is not written if it is there', async () => {
    const one = new OneObject();
    one.write({ sourceAgent: { state: 'Holding' } });
    expect(await write(one, one.stored, 'Holding')).toBeUndefined();
    expect(one.requests).toBe(0);
  });

  it('is written for the first time to the version that was read, or to a newer one after a look', async () => {
    const one = new OneObject();
    const read = one.stored;
    one.write({ phase: 'Preparing' });
    await write(one, read, 'Waiting');
    expect(one.requests).toBe(3);
    expect(one.stored.status).toMatchObject({
      sourceAgent: { state: 'Waiting' },
      phase: 'Preparing',
    });
  });

  it('is written over what the caller knows to be there and its object has not yet', async () => {
    const one = new OneObject();
    const read = one.stored;
    one.write({ sourceAgent: { state: 'Holding' } });
    await write(one, read, 'Dumping', { state: 'Holding' });
    expect(one.requests).toBe(1);
  });

  it('does not go back: a write that arrives after a newer one is refused', async () => {
    const one = new OneObject();
    one.write({ sourceAgent: { state: 'Sent' } });
    const late: JsonPatch[] = [
      { op: 'test', path: '/status/sourceAgent', value: { state: 'Transferring' } },
      { op: 'add', path: '/status/sourceAgent', value: { state: 'Transferring', steps: [] } },
    ];
    const arrives = one.api.jsonPatch(migrationRequests, 'default', 'move', late);
    await expect(arrives).rejects.toMatchObject({ code: 'Invalid' });
    expect(one.stored.status?.sourceAgent?.state).toBe('Sent');
  });

  it('is not written to another object of that name', async () => {
    const one = new OneObject();
    const read = one.stored;
    one.stored = request('9', 'another', {});
    await expect(write(one, read, 'Waiting')).rejects.toMatchObject({ code: 'RequestReplaced' });
    expect(one.stored.status?.sourceAgent).toBeUndefined();
  });

  it('that the server refuses for its value is not tried for ever', async () => {
    const one = new OneObject();
    one.write({ sourceAgent: { state: 'Holding' } });
    const refusing = {
      ...one.api,
      jsonPatch: () => Promise.reject(new ApiError(422, 'Invalid', 'too long')),
    } as Api;
    one.requests = 0;
    const refused = writePart(refusing, {
      ...{ resource: migrationRequests, object: one.stored, manager: 'm', field: 'sourceAgent' },
      value: { state: 'Dumping' },
    });
    await expect(refused).rejects.toMatchObject({
      message: expect.stringContaining('too long') as string,
    });
    expect(one.requests).toBe(1);
  });
});
