// SPDX-License-Identifier: Apache-2.0
// The parts of the kit that need no server.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock, timestamp } from './clock.ts';
import { setCondition } from './conditions.ts';
import { Deadline } from './deadline.ts';
import { ApiError, codeOf, isAlreadyExists, isConflict, isGone, messageOf } from './errors.ts';
import { fault, FaultError, parseAction, withFaults } from './faults.ts';
import { collectionPath, keyOf, pods, nodes, migrationRequests, splitKey } from './resource.ts';

describe('setCondition', () => {
  const first = setCondition([], { type: 'A', status: 'Unknown', reason: 'R' }, 1000);

  it('changes the time only when the status changes', () => {
    const said = setCondition(first, { type: 'A', status: 'Unknown', reason: 'Other' }, 2000, 4);
    expect(said).toEqual([
      {
        ...{ type: 'A', status: 'Unknown', reason: 'Other', message: '' },
        ...{ observedGeneration: 4, lastTransitionTime: timestamp(1000) },
      },
    ]);
    const flipped = setCondition(said, { type: 'A', status: 'True', reason: 'R' }, 3000);
    expect(flipped[0]?.lastTransitionTime).toBe(timestamp(3000));
  });

  it('keeps the order, the old list, and a message that the API accepts', () => {
    const two = setCondition(
      first,
      { type: 'B', status: 'True', reason: 'R', message: 'x'.repeat(5000) },
      1,
    );
    expect(
      setCondition(two, { type: 'A', status: 'True', reason: 'R' }, 1).map((one) => one.type),
    ).toEqual(['A', 'B']);
    expect(two[1]?.message.length).toBe(4096);
    expect(first.length).toBe(1);
  });
});

describe('errors', () => {
  const status = (code: number, reason: string): string =>
    JSON.stringify({ kind: 'Status', reason, message: `it is ${reason}`, code });

  it('have the server’s reason, or the HTTP status of a proxy', () => {
    expect(ApiError.from(409, status(409, 'AlreadyExists'))).toMatchObject({
      code: 'AlreadyExists',
      message: 'it is AlreadyExists',
    });
    expect(ApiError.from(503, '<html>')).toMatchObject({
      code: 'ServiceUnavailable',
      message: '<html>',
    });
    expect(ApiError.from(418, '')).toMatchObject({ code: 'Http418', message: 'HTTP status 418' });
    expect(ApiError.from(429, '', '7').retryAfterSeconds).toBe(7);
    expect(ApiError.from(429, '', 'soon').retryAfterSeconds).toBeUndefined();
  });

  it('distinguish a conflict, a name that exists and a version that is too old', () => {
    const taken = ApiError.from(409, status(409, 'AlreadyExists'));
    const conflict = ApiError.from(409, status(409, 'Conflict'));
    expect([isConflict(taken), isAlreadyExists(taken)]).toEqual([false, true]);
    expect([isConflict(conflict), isAlreadyExists(conflict)]).toEqual([true, false]);
    expect(isGone(ApiError.from(400, status(400, 'Expired')))).toBe(true);
  });

  it('have a code and a message for any thrown value', () => {
    expect(codeOf('text')).toBe('InternalError');
    expect(codeOf(Object.assign(new Error(), { code: 'ENOENT' }))).toBe('ENOENT');
    expect(messageOf(new Error('fetch failed', { cause: new Error('refused') }))).toBe(
      'fetch failed: refused',
    );
    expect(messageOf(5)).toBe('5');
  });
});

describe('keys and paths', () => {
  it('convert in both directions', () => {
    for (const key of ['ns/name', 'name']) expect(keyOf({ metadata: splitKey(key) })).toBe(key);
    expect(collectionPath(pods, 'x')).toBe('/api/v1/namespaces/x/pods');
    expect(collectionPath(nodes, 'x')).toBe('/api/v1/nodes');
    expect(collectionPath(migrationRequests)).toBe('/apis/sealift.dev/v1alpha1/migrationrequests');
  });
});

describe('a deadline', () => {
  it('rejects late work with its code and message', async () => {
    const clock = new FakeClock();
    using deadline = new Deadline(clock.now() + 1000, 'TooLate', undefined, clock);
    const race = deadline.race(new Promise(() => undefined));
    const outcome = expect(race).rejects.toMatchObject({ code: 'TooLate' });
    await clock.advance(999);
    expect([deadline.signal.aborted, deadline.remainingMs]).toEqual([false, 1]);
    await clock.advance(1);
    await outcome;
    await expect(deadline.race(Promise.resolve(1))).rejects.toMatchObject({ code: 'TooLate' });
  });

  it('returns the result of work that ends in time', async () => {
    const clock = new FakeClock();
    using deadline = new Deadline(clock.now() + 1000, 'TooLate', undefined, clock);
    expect(await deadline.race(Promise.resolve(1))).toBe(1);
  });
});

describe('fault points', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'sealift-fault-'));
    process.env['SEALIFT_FAULT_DIR'] = directory;
  });
  afterEach(() => {
    delete process.env['SEALIFT_FAULT_DIR'];
    rmSync(directory, { recursive: true });
  });
  const arm = (point: string, action: string): void =>
    writeFileSync(join(directory, point), action);

  it('have three actions', () => {
    expect(parseAction('')).toEqual({ kind: 'crash' });
    expect(parseAction('throw\n')).toEqual({ kind: 'throw' });
    expect(parseAction('delay:5')).toEqual({ kind: 'delay', ms: 5 });
    expect(() => parseAction('explode')).toThrow(FaultError);
  });

  it('are before and after an effect', async () => {
    const done: string[] = [];
    const effect = (): Promise<void> => withFaults('x', async () => void done.push('x'));
    arm('x.before', 'throw');
    await expect(effect()).rejects.toThrow('x.before');
    expect(done).toEqual([]);
    arm('x.after', 'throw');
    await expect(effect()).rejects.toThrow('x.after');
    expect(done).toEqual(['x']);
    arm('y', 'throw');
    await effect();
  });

  it('trip once, and their files are removed', async () => {
    arm('x', 'throw');
    await expect(fault('x')).rejects.toThrow(FaultError);
    expect(readdirSync(directory)).toEqual([]);
    await fault('x');
  });
});
