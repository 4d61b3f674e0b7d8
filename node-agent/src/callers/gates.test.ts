// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NodeOperations } from '../node/operations.ts';
import { AgentError } from '../support/errors.ts';
import { Journal } from '../support/journal/journal.ts';
import { RequestLookup } from './request-lookup.ts';
import { socketHandlers } from './socket/handlers.ts';
import { MemoryApi } from '../testing/api.ts';
import { migration, NAMESPACE, REQUEST_UID, TARGET_UID } from '../testing/objects.ts';
import { recordPreparation } from '../reconcilers/target/journal-entry.ts';
import { Gates } from './gates.ts';

const resume = { op: 'gate' as const, token: REQUEST_UID, container: 'main', pid: 7 };
const create = (id: string) => ({
  ...{
    op: 'create' as const,
    id,
    bundle: '/run/c',
    sandboxId: 'box',
    answer: { rnrTimer: 20, chooses: true },
  },
  ...{ namespace: NAMESPACE, pod: 'app-2', podUid: TARGET_UID, container: 'main' },
  ...{ containers: ['main'], since: 0, attempt: 1 },
});
const messageOf = (work: Promise<unknown>) => work.catch((error: Error) => error.message);

describe('a gate', () => {
  let gates: Gates;
  beforeEach(() => {
    gates = new Gates();
  });

  it('does not list a caller that has left', async () => {
    const gone = new AbortController();
    gone.abort();
    await expect(gates.waitAtResumeGate(resume, '', gone.signal)).rejects.toMatchObject({
      code: 'Aborted',
    });
    expect(gates.listAtResumeGate(REQUEST_UID)).toEqual([]);
  });

  it('keeps the newer connection of a caller, and removes a caller that leaves', async () => {
    const connection = new AbortController();
    const changes: string[] = [];
    gates.onChange((uid) => changes.push(uid));
    const first = messageOf(gates.waitAtCreateGate(REQUEST_UID, create('c1'), connection.signal));
    const second = messageOf(gates.waitAtCreateGate(REQUEST_UID, create('c1'), connection.signal));
    expect(await first).toMatch(/has asked again/);
    expect(gates.listAtCreateGate(REQUEST_UID).map((one) => one.id)).toEqual(['c1']);
    connection.abort();
    expect(await second).toMatch(/closed its connection/);
    expect(gates.listAtCreateGate(REQUEST_UID)).toEqual([]);
    expect(changes).toEqual([REQUEST_UID, REQUEST_UID, REQUEST_UID]);
  });

  it('opens for no caller where none waits', () => {
    expect(gates.openResumeGate(REQUEST_UID, 'main')).toBe(false);
  });

  it('has one waiter per container, opens for each by itself and refuses all', async () => {
    const { signal } = new AbortController();
    const first = gates.waitAtResumeGate(resume, '', signal);
    const second = messageOf(gates.waitAtResumeGate({ ...resume, container: 'side' }, '', signal));
    expect(gates.listAtResumeGate(REQUEST_UID).map((one) => one.container)).toEqual([
      'main',
      'side',
    ]);
    expect([
      gates.openResumeGate(REQUEST_UID, 'main'),
      gates.openResumeGate(REQUEST_UID, 'main'),
    ]).toEqual([true, false]);
    expect(await first).toEqual({ ok: true });
    const created = messageOf(gates.waitAtCreateGate(REQUEST_UID, create('c1'), signal));
    gates.refuseAll(REQUEST_UID, new AgentError('Aborted', 'no'));
    expect([await second, await created]).toEqual(['no', 'no']);
  });

  it('answers with the PID at the resume gate, asked before and after CRIU arrives', async () => {
    const { signal } = new AbortController();
    const ask = () =>
      gates.waitForArrival({ op: 'atGate', token: REQUEST_UID, container: 'main' }, signal);
    const before = ask();
    void messageOf(gates.waitAtResumeGate({ ...resume, container: 'side', pid: 8 }, '', signal));
    void messageOf(gates.waitAtResumeGate(resume, '', signal));
    expect([await before, await ask()]).toEqual([
      { ok: true, pid: 7 },
      { ok: true, pid: 7 },
    ]);
    gates.refuseAtResumeGate(REQUEST_UID, 'main', 'restarted');
    const after = messageOf(ask());
    gates.refuseAll(REQUEST_UID, new AgentError('Aborted', 'no'));
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

  it('refuses a token of no move at once', async () => {
    const { journal } = await Journal.open(dir);
    const gates = new Gates();
    const pods = new RequestLookup(new MemoryApi());
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
    await expect.poll(() => gates.listAtResumeGate(REQUEST_UID)).toHaveLength(1);
    gates.openResumeGate(REQUEST_UID, 'main');
    expect(await waiting).toEqual({ ok: true });
  });
});
