// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentError } from '../support/errors.ts';
import { Journal, type Entry } from '../support/journal/journal.ts';
import { migration, NAMESPACE, REQUEST_UID, TARGET_UID } from '../testing/objects.ts';
import { recordPreparation } from '../reconcilers/target/journal-entry.ts';
import { GateHandler } from './gate-handler.ts';
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
  containers: ['main'],
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
    await expect(
      gates.waitAtCreateGate(REQUEST_UID, create('c1'), gone.signal),
    ).rejects.toMatchObject({ code: 'Aborted' });
    expect(gates.listAtCreateGate(REQUEST_UID)).toEqual([]);
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

  it('refuses all, and forgets what has passed', async () => {
    const { signal } = new AbortController();
    gates.passResumeGate({ ...resume, at: '' });
    gates.passResumeGate({ ...resume, container: 'side', at: '' });
    const passed = () => gates.listPassed(REQUEST_UID).map((one) => one.container);
    expect(passed()).toEqual(['main', 'side']);
    gates.forgetPassed(REQUEST_UID, 'main');
    expect(passed()).toEqual(['side']);
    const created = messageOf(gates.waitAtCreateGate(REQUEST_UID, create('c1'), signal));
    gates.refuseAll(REQUEST_UID, new AgentError('Aborted', 'no'));
    expect([await created, passed()]).toEqual(['no', []]);
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

  it('freezes a container of a move that is not aborted, and answers at once', async () => {
    const { journal } = await Journal.open(dir);
    const gates = new Gates();
    const frozen: string[] = [];
    let happens = async (): Promise<void> => undefined;
    const restorer = {
      freezeRestored: async ({ id }: { id: string }) => {
        frozen.push(id);
        await happens();
      },
    };
    const handler = new GateHandler({ journal, gates, restorer });
    const refused = { code: 'Aborted' };
    await expect(handler.handle(resume)).rejects.toMatchObject(refused);
    await recordPreparation(journal, { kind: 'MigrationRequest', request: migration() }, true);
    await expect(handler.handle(resume)).rejects.toMatchObject(refused);
    expect(frozen).toEqual([]);
    const change = (more: Partial<Entry>) =>
      journal.change(REQUEST_UID, 'target', (now) => ({ ...now!, ...more }));
    await change({ stage: 'Restoring', containers: [{ name: 'main', id: 'c1', bundle: '/b' }] });
    expect(await handler.handle(resume)).toEqual({ ok: true });
    expect([frozen, gates.listPassed(REQUEST_UID)]).toMatchObject([['c1'], [{ pid: 7 }]]);
    // Torn down while the tasks are being frozen: the tear-down may have found nothing to kill.
    happens = () => change({ stage: 'TornDown' });
    await expect(handler.handle(resume)).rejects.toMatchObject(refused);
    await expect(handler.handle(resume)).rejects.toMatchObject(refused);
    expect(frozen).toEqual(['c1', 'c1']);
  });
});
