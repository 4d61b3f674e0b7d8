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

/** One stored request, as the server has it: with fields that only a newer agent knows. */
class OneObject {
  stored = raw('1', 'uid', { source: { nodeName: 'a' } });
  requests = 0;

  /** As an agent reads it. */
  get read(): MigrationRequest {
    return migrationRequests.parse(this.stored);
  }

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
      return this.read;
    },
    getRaw: async () => {
      this.requests++;
      return structuredClone(this.stored);
    },
  } as unknown as Api;

  write(status: object): void {
    const { metadata, status: before } = this.stored;
    const version = String(Number(metadata.resourceVersion) + 1);
    this.stored = raw(version, metadata.uid, { ...before, ...status });
  }
}

function raw(resourceVersion: string, uid: string, status: Record<string, unknown>) {
  const metadata = { name: 'move', namespace: 'default', uid, resourceVersion };
  return { metadata, spec: { podName: 'p' }, status };
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
    const { read } = one;
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
    expect(await write(one, one.read, 'Holding')).toBeUndefined();
    expect(one.requests).toBe(0);
  });

  it('is written for the first time to the version that was read, or to a newer one after a look', async () => {
    const one = new OneObject();
    const { read } = one;
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
    const { read } = one;
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
    expect(one.read.status?.sourceAgent?.state).toBe('Sent');
  });

  describe('with fields that this agent does not know', () => {
    const step = { name: 'hold', startTime: '2026-01-01T00:00:00.000000Z' };
    const later = { name: 'freeze', startTime: '2026-01-01T00:00:01.000000Z' };
    const newer = {
      state: 'Holding',
      message: 'old',
      novel: { a: 1 },
      steps: [{ ...step, also: 'x' }],
    };

    it('keeps them, and takes away what it knows and does not say any more', async () => {
      const one = new OneObject();
      one.write({ sourceAgent: newer });
      const { read } = one;
      expect(read.status?.sourceAgent).not.toHaveProperty('novel');
      const value = { state: 'Dumping', steps: [later, step] };
      await writePart(one.api, {
        ...{ resource: migrationRequests, object: read, manager: 'm', field: 'sourceAgent', value },
      });
      expect(one.stored.status['sourceAgent']).toEqual({
        ...{ state: 'Dumping', novel: { a: 1 } },
        steps: [later, { ...step, also: 'x' }],
      });
      // Refused, read, written.
      expect(one.requests).toBe(3);
      expect(await write(one, one.read, 'Dumping')).toBeDefined();
      expect(one.stored.status['sourceAgent']).toEqual({ state: 'Dumping', novel: { a: 1 } });
    });

    it('is not written for their sake', async () => {
      const one = new OneObject();
      one.write({ sourceAgent: { state: 'Holding', novel: true } });
      expect(await write(one, one.read, 'Holding')).toBeUndefined();
      expect(one.requests).toBe(0);
      // Nor if only a look shows that it is there.
      const { read } = one;
      one.write({ sourceAgent: { state: 'Sent', novel: true } });
      expect(await write(one, read, 'Sent')).toBeUndefined();
    });

    it('is not tried for ever either', async () => {
      const one = new OneObject();
      one.write({ sourceAgent: newer });
      const refusing = {
        ...one.api,
        jsonPatch: () => Promise.reject(new ApiError(422, 'Invalid', 'too long')),
      } as Api;
      one.requests = 0;
      const refused = writePart(refusing, {
        ...{ resource: migrationRequests, object: one.read, manager: 'm', field: 'sourceAgent' },
        value: { state: 'Dumping' },
      });
      await expect(refused).rejects.toMatchObject({ code: 'Invalid' });
      expect(one.requests).toBe(2);
    });
  });

  it('is not written to another object of that name', async () => {
    const one = new OneObject();
    const { read } = one;
    one.stored = raw('9', 'another', {});
    await expect(write(one, read, 'Waiting')).rejects.toMatchObject({ code: 'RequestReplaced' });
    expect(one.read.status?.sourceAgent).toBeUndefined();
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
      ...{ resource: migrationRequests, object: one.read, manager: 'm', field: 'sourceAgent' },
      value: { state: 'Dumping' },
    });
    await expect(refused).rejects.toMatchObject({
      message: expect.stringContaining('too long') as string,
    });
    expect(one.requests).toBe(1);
  });
});
