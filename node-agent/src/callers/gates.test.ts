// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NodeOperations } from '../node/operations.ts';
import { AgentError } from '../support/errors.ts';
import { Journal } from '../support/journal/journal.ts';
import { PodRequests } from './pod-requests.ts';
import { socketHandlers } from './socket/handlers.ts';
import { MemoryApi } from '../testing/api.ts';
import { migration, NAMESPACE, REQUEST_UID, TARGET_UID } from '../testing/objects.ts';
import { recordPreparation } from '../reconcilers/target/journal-entry.ts';
import { Gates } from './gates.ts';

const resume = { op: 'gate' as const, token: REQUEST_UID, container: 'main', pid: 7 };
const create = (id: string) => ({
  ...{ op: 'create' as const, id, bundle: '/run/c', sandboxId: 'box', rnrTimer: 20 },
  ...{ namespace: NAMESPACE, pod: 'app-2', podUid: TARGET_UID, container: 'main' },
  ...{ containers: ['main'], since: 0, attempt: 1 },
});
const said = (work: Promise<unknown>) => work.catch((error: Error) => error.message);

describe('a gate', () => {
  let gates: Gates;
  beforeEach(() => {
    gates = new Gates();
  });

  it('does not take one who has left for one who waits', async () => {
    const gone = new AbortController();
    gone.abort();
    await expect(gates.waitResume(resume, '', gone.signal)).rejects.toMatchObject({
      code: 'Aborted',
    });
    expect(gates.rebuilt(REQUEST_UID)).toEqual([]);
  });

  it('lets the newer connection wait in place of the older, and forgets who leaves', async () => {
    const connection = new AbortController();
    const changes: string[] = [];
    gates.onChange((uid) => changes.push(uid));
    const first = said(gates.waitCreate(REQUEST_UID, create('c1'), connection.signal));
    const second = said(gates.waitCreate(REQUEST_UID, create('c1'), connection.signal));
    expect(await first).toMatch(/asked again/);
    expect(gates.atCreate(REQUEST_UID).map((one) => one.id)).toEqual(['c1']);
    connection.abort();
    expect(await second).toMatch(/gone/);
    expect(gates.atCreate(REQUEST_UID)).toEqual([]);
    expect(changes).toEqual([REQUEST_UID, REQUEST_UID, REQUEST_UID]);
  });

  it('opens for nobody', () => {
    expect(gates.open(REQUEST_UID, 'main')).toBe(false);
  });

  it('has one waiter per container, opens each by itself and refuses all', async () => {
    const { signal } = new AbortController();
    const first = gates.waitResume(resume, '', signal);
    const second = said(gates.waitResume({ ...resume, container: 'side' }, '', signal));
    expect(gates.rebuilt(REQUEST_UID).map((one) => one.container)).toEqual(['main', 'side']);
    expect([gates.open(REQUEST_UID, 'main'), gates.open(REQUEST_UID, 'main')]).toEqual([
      true,
      false,
    ]);
    expect(await first).toEqual({ ok: true });
    const created = said(gates.waitCreate(REQUEST_UID, create('c1'), signal));
    gates.refuse(REQUEST_UID, new AgentError('Aborted', 'no'));
    expect([await second, await created]).toEqual(['no', 'no']);
  });

  it('tells who is there of whom it is asked, before and after it comes', async () => {
    const { signal } = new AbortController();
    const ask = () =>
      gates.waitRestored({ op: 'atGate', token: REQUEST_UID, container: 'main' }, signal);
    const before = ask();
    void said(gates.waitResume({ ...resume, container: 'side', pid: 8 }, '', signal));
    void said(gates.waitResume(resume, '', signal));
    expect([await before, await ask()]).toEqual([
      { ok: true, pid: 7 },
      { ok: true, pid: 7 },
    ]);
    gates.dismiss(REQUEST_UID, 'main', 'created anew');
    const after = said(ask());
    gates.refuse(REQUEST_UID, new AgentError('Aborted', 'no'));
    expect(await after).toBe('no');
  });
});

describe('the socket’s resume gate', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sealift-gates-'));
  });
  afterEach(async () => {
    await rm(dir, { recursive: true });
  });

  it('refuses whom no move has begun, at once', async () => {
    const { journal } = await Journal.open(dir);
    const gates = new Gates();
    const pods = new PodRequests(new MemoryApi());
    const handlers = socketHandlers({
      node: {} as NodeOperations,
      ...{ journal, gates, pods },
      recordPreparation: async () => undefined,
    });
    const { signal } = new AbortController();
    await expect(handlers.gate(resume, signal)).rejects.toMatchObject({ code: 'Aborted' });
    const asked = { op: 'atGate' as const, token: REQUEST_UID, container: 'main' };
    await expect(handlers.atGate(asked, signal)).rejects.toMatchObject({ code: 'Aborted' });
    await recordPreparation(journal, { kind: 'MigrationRequest', request: migration() }, true);
    const waiting = handlers.gate(resume, signal);
    await expect.poll(() => gates.rebuilt(REQUEST_UID)).toHaveLength(1);
    gates.open(REQUEST_UID, 'main');
    expect(await waiting).toEqual({ ok: true });
  });
});
