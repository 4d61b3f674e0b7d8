// SPDX-License-Identifier: Apache-2.0
// Four pods are being dumped, which is as many as a controller has workers. A fifth is aborted. `agent.ts` uses it likewise, which
// urgent.test.ts shows.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Controller } from '../../../kube/src/index.ts';
import { Journal, type Stage } from '../support/journal/journal.ts';
import { decision } from '../testing/objects.ts';
import { isInProgress, type AnyRequest } from './in-progress.ts';

let dir: string;
let journal: Journal;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-begun-'));
  ({ journal } = await Journal.open(dir));
});
afterEach(() => rm(dir, { recursive: true }));

const record = (id: string, stage: Stage) =>
  journal.put({
    ...{ version: 1, id, role: 'source', kind: 'MigrationRequest', namespace: 'd', name: id },
    ...{ pod: id, podUid: id, stage, containers: [], steps: [] },
  });

describe('a request', () => {
  it.each([
    [undefined, undefined, false],
    ['Preparing', undefined, false],
    ['Dumping', undefined, true],
    ['Sent', undefined, true],
    ['Resumed', undefined, false],
    [undefined, 'Aborted', true],
    ['Sent', 'Committed', true],
  ] as const)('in stage %s and decided %s has begun: %s', async (stage, outcome, expected) => {
    if (stage) await record('u', stage);
    const status = outcome ? { decision: decision(outcome) } : {};
    expect(isInProgress(journal, { metadata: { uid: 'u' }, status }, 'source')).toBe(expected);
  });
});

describe('an aborted pod', () => {
  it('is resumed while four others are being dumped and a fifth waits to be', async () => {
    const requests = new Map<string, AnyRequest>();
    const began: string[] = [];
    const resumed = Promise.withResolvers<void>();
    const dumps = Promise.withResolvers<void>();
    const controller = new Controller({
      name: 'source',
      log: pino({ level: 'silent' }),
      isUrgent: (key) => isInProgress(journal, requests.get(key)!, 'source'),
      reconcile: async (key) => {
        began.push(key);
        if (key === 'aborted') return resumed.resolve();
        await dumps.promise;
      },
    });
    const put = (key: string, status: object = {}) => {
      requests.set(key, { metadata: { uid: key }, status });
      controller.enqueue(key);
    };
    const stop = new AbortController();
    const running = controller.run(stop.signal);
    for (const key of ['a', 'b', 'c', 'd', 'e']) put(key);
    await record('aborted', 'Sent');
    put('aborted', { decision: decision('Aborted') });
    await resumed.promise;
    expect(began).toEqual(['a', 'b', 'c', 'd', 'aborted']);
    // A request that is decided while it waits for a worker does not wait on.
    put('e', { decision: decision('Aborted') });
    await expect.poll(() => began).toContain('e');
    dumps.resolve();
    stop.abort();
    await running;
  });
});
