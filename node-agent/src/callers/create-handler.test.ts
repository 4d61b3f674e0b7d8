// SPDX-License-Identifier: Apache-2.0
// What a container is told that wants to start, over a real journal and real gates.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Decision } from '../../../crds/src/index.ts';
import { migrationRequests, pods } from '../../../kube/src/index.ts';
import { Journal, type Entry, type Stage } from '../support/journal/journal.ts';
import type { BundleEditor } from '../node/runtime/bundle-editor.ts';
import type { CreateRequest } from '../support/socket-protocol.ts';
import { Gates } from './gates.ts';
import { MemoryApi } from '../testing/api.ts';
import {
  decision,
  migration,
  NAMESPACE,
  pod,
  REQUEST_UID,
  SOURCE_UID,
  targetPod,
  TARGET_UID,
} from '../testing/objects.ts';
import { CreateHandler } from './create-handler.ts';
import { RequestLookup } from './request-lookup.ts';

let dir: string;
let api: MemoryApi;
let journal: Journal;
let gates: Gates;
let did: string[];
let handler: CreateHandler;
/** What CRIU's log says. */
let hasBeenLetGo: boolean;
beforeEach(async () => {
  hasBeenLetGo = true;
  dir = await mkdtemp(join(tmpdir(), 'sealift-create-'));
  ({ journal } = await Journal.open(dir));
  api = new MemoryApi();
  gates = new Gates();
  did = [];
  handler = new CreateHandler({
    journal,
    gates,
    pods: new RequestLookup(api),
    editor: {
      netns: async () => '/run/netns/x',
      edit: async () => void did.push('edit'),
    } as unknown as BundleEditor,
    waiting: async () => void did.push('waiting'),
    released: async () => hasBeenLetGo,
    release: async () => void did.push('release'),
  });
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

const request = (name: string, podUid: string): CreateRequest => ({
  ...{ op: 'create', id: 'c1', bundle: '/run/c1', sandboxId: 'box', container: 'main' },
  ...{ namespace: NAMESPACE, pod: name, podUid, attempt: 1 },
});
const connection = () => new AbortController();
const again = (ageMs: number): CreateRequest => ({
  ...request('app-2', TARGET_UID),
  ...{ attempt: 2, since: Date.now() - ageMs },
});
const source = () => handler.handle(request('app', SOURCE_UID), connection().signal);
const target = (gone = connection()) => handler.handle(request('app-2', TARGET_UID), gone.signal);
const note = (role: Entry['role'], stage: Stage) =>
  journal.put({
    ...{ version: 1, id: REQUEST_UID, role, kind: 'MigrationRequest', namespace: NAMESPACE },
    ...{ name: 'move', pod: 'app', podUid: SOURCE_UID, stage, containers: [], steps: [] },
  });
function move(outcome?: Decision['outcome']): void {
  api.put(pods, targetPod({ 'sealift.dev/rnr-timer': '7' }));
  api.put(migrationRequests, migration(outcome ? { decision: decision(outcome) } : {}));
}

describe('a container that wants to start', () => {
  it('runs if it is nobody’s target, with its uverbs node', async () => {
    api.put(pods, pod('app', SOURCE_UID));
    expect(await source()).toEqual({ ok: true, action: 'run' });
    expect(did).toEqual(['edit']);
  });

  it.each([
    ['undecided', undefined, undefined],
    ['undecided, after a restart', undefined, 'Restoring'],
    ['committed and never ran', 'Committed', 'AtResumeGate'],
  ] as [string, Decision['outcome'] | undefined, Stage | undefined][])(
    'waits for its images while the move is %s',
    async (_what, outcome, stage) => {
      move(outcome);
      if (stage) await note('target', stage);
      const waiting = target();
      await expect.poll(() => gates.listAtCreateGate(REQUEST_UID)[0]?.rnrTimer).toBe(7);
      gates.answerCreate(REQUEST_UID, 'main', { ok: true, action: 'run' });
      await waiting;
      expect(did).toEqual(['waiting']);
    },
  );

  it.each([
    ['Always', expect.any(Number)],
    ['OnFailure', expect.any(Number)],
    ['Never', undefined],
  ])(
    'may be started twice by its kubelet, or not: restartPolicy %s',
    async (restartPolicy, since) => {
      move();
      const one = targetPod();
      api.put(pods, { ...one, spec: { ...one.spec, restartPolicy } });
      const waiting = target();
      await expect.poll(() => gates.listAtCreateGate(REQUEST_UID)).toHaveLength(1);
      expect(gates.listAtCreateGate(REQUEST_UID)[0]?.since).toEqual(since);
      gates.answerCreate(REQUEST_UID, 'main', { ok: true, action: 'run' });
      await waiting;
    },
  );

  it.each([
    ['aborted', 'Aborted', 'Restoring', 'Aborted'],
    ['committed and may have run', 'Committed', 'Resuming', 'RestoreFailed'],
    ['committed and forgotten', 'Committed', undefined, 'RestoreFailed'],
  ] as [string, Decision['outcome'], Stage | undefined, string][])(
    'is refused when the move is %s',
    async (_what, outcome, stage, code) => {
      move(outcome);
      if (stage) await note('target', stage);
      await expect(target()).rejects.toMatchObject({ code });
    },
  );

  it.each([
    ['of a committed move', 'Committed', 'Restoring', 'Always', 10_000],
    ['of an undecided move', undefined, 'AtResumeGate', 'Always', 10_000],
    ['late, of a pod that is not started twice', 'Committed', 'AtResumeGate', 'Never', 100_000],
  ] as [string, Decision['outcome'] | undefined, Stage, string, number][])(
    'waits once more when its restore has failed: %s',
    async (_what, outcome, stage, restartPolicy, ageMs) => {
      move(outcome);
      const one = targetPod();
      api.put(pods, { ...one, spec: { ...one.spec, restartPolicy } });
      await note('target', stage);
      const waiting = handler.handle(again(ageMs), connection().signal);
      await expect.poll(() => gates.listAtCreateGate(REQUEST_UID)[0]?.attempt).toBe(2);
      gates.answerCreate(REQUEST_UID, 'main', { ok: true, action: 'run' });
      await waiting;
    },
  );

  it('waits once more when CRIU has ended behind its gate, and had let go of nothing', async () => {
    move('Committed');
    await note('target', 'Resuming');
    hasBeenLetGo = false;
    const waiting = handler.handle(again(0), connection().signal);
    await expect.poll(() => gates.listAtCreateGate(REQUEST_UID)[0]?.attempt).toBe(2);
    gates.answerCreate(REQUEST_UID, 'main', { ok: true, action: 'run' });
    await waiting;
  });

  it.each([
    ['its kubelet may give it up', 'Committed', 'Restoring', 70_000, /too late/],
    ['it may have run', 'Committed', 'Resuming', 0, /not made once more/],
    ['it has run', 'Committed', 'Running', 0, /not made once more/],
    ['nothing is known of it', 'Committed', undefined, 0, /not made once more/],
  ] as [string, Decision['outcome'], Stage | undefined, number, RegExp][])(
    'is not restored once more where %s',
    async (_what, outcome, stage, ageMs, said) => {
      move(outcome);
      if (stage) await note('target', stage);
      const refused = handler.handle(again(ageMs), connection().signal);
      await expect(refused).rejects.toThrow(said);
      await expect(refused).rejects.toMatchObject({ code: 'RestoreFailed' });
    },
  );

  it('never runs in the place of a restore that failed', async () => {
    api.put(pods, pod('app', SOURCE_UID));
    await source();
    const second = { ...request('app', SOURCE_UID), attempt: 2 };
    const refused = handler.handle(second, connection().signal);
    await expect(refused).rejects.toMatchObject({ code: 'RestoreFailed' });
  });

  it('starts anew, with its sandbox open, once its move is over', async () => {
    move('Committed');
    await note('target', 'Running');
    expect(await target()).toEqual({ ok: true, action: 'run' });
    expect(did).toEqual(['edit', 'release']);
  });

  it('is refused on the node that it moves away from', async () => {
    api.put(pods, pod('app', SOURCE_UID));
    for (const stage of ['Locking', 'Sent', 'Stopping', 'Gone'] as const) {
      await note('source', stage);
      await expect(source()).rejects.toMatchObject({ code: 'MovedAway' });
    }
    await note('source', 'Resumed');
    expect(await source()).toEqual({ ok: true, action: 'run' });
  });

  it('runs again while the API server does not answer, if it was let run and stays', async () => {
    api.put(pods, pod('app', SOURCE_UID));
    api.reachable = false;
    await expect(source()).rejects.toMatchObject({ code: 'Unreachable' });
    api.reachable = true;
    await source();
    api.reachable = false;
    expect(await source()).toEqual({ ok: true, action: 'run' });
    await note('source', 'Gone');
    await expect(source()).rejects.toMatchObject({ code: 'MovedAway' });
  });

  it('never runs as a target while the API server does not answer', async () => {
    move();
    const gone = connection();
    const waiting = target(gone).catch(() => 'left');
    await expect.poll(() => gates.listAtCreateGate(REQUEST_UID)).toBeDefined();
    gone.abort();
    await waiting;
    api.reachable = false;
    await expect(target()).rejects.toMatchObject({ code: 'Unreachable' });
  });

  it('is refused with an annotation that names what did not make it', async () => {
    api.put(pods, targetPod());
    await expect(target()).rejects.toMatchObject({ code: 'BadRequest' });
    api.put(migrationRequests, migration({}, { uid: 'another' }));
    await expect(target()).rejects.toMatchObject({ code: 'BadRequest' });
  });
});
