// SPDX-License-Identifier: Apache-2.0
// The answers to containers that are to be created, over a real journal and real gates.
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
beforeEach(async () => {
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
      addDevices: async () => void did.push('edit'),
      checkDevices: async () => void did.push('check'),
    } as unknown as BundleEditor,
    recordWaiting: async () => void did.push('waiting'),
    resumePod: async () => void did.push('resume'),
  });
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

const request = (name: string, podUid: string): CreateRequest => ({
  ...{ op: 'create', id: 'c1', bundle: '/run/c1', sandboxId: 'box', container: 'main' },
  ...{ namespace: NAMESPACE, pod: name, podUid },
});
const connection = () => new AbortController();
const source = () => handler.handle(request('app', SOURCE_UID), connection().signal);
const target = (gone = connection()) => handler.handle(request('app-2', TARGET_UID), gone.signal);
const record = (role: Entry['role'], stage: Stage) =>
  journal.put({
    ...{ version: 1, id: REQUEST_UID, role, kind: 'MigrationRequest', namespace: NAMESPACE },
    ...{ name: 'move', pod: 'app', podUid: SOURCE_UID, stage, steps: [] },
    containers: [{ name: 'main', id: 'c1', bundle: '/run/c1' }],
  });
function move(outcome?: Decision['outcome']): void {
  api.put(pods, targetPod({ 'sealift.dev/rnr-timer': '7' }));
  api.put(migrationRequests, migration(outcome ? { decision: decision(outcome) } : {}));
}

describe('the create of a container', () => {
  it('is answered `run` if its pod is no target, with its uverbs node', async () => {
    api.put(pods, pod('app', SOURCE_UID));
    expect(await source()).toEqual({ ok: true, action: 'run' });
    expect(did).toEqual(['edit']);
  });

  it.each([
    ['undecided', undefined, undefined],
    ['undecided, after a restart', undefined, 'Restoring'],
    ['committed and never ran', 'Committed', 'AtResumeGate'],
  ] as [string, Decision['outcome'] | undefined, Stage | undefined][])(
    'waits at the create gate while the move is %s',
    async (_what, outcome, stage) => {
      move(outcome);
      if (stage) await record('target', stage);
      const waiting = target();
      await expect
        .poll(() => gates.listAtCreateGate(REQUEST_UID)[0]?.answer)
        .toEqual({ rnrTimer: 7, chooses: true });
      gates.answerCreate(REQUEST_UID, 'main', { ok: true, action: 'run' });
      await waiting;
      expect(did).toEqual(['check', 'waiting']);
    },
  );

  it('is refused when the status alone says that the pod may have run: the disk took nothing', async () => {
    move('Committed');
    await record('target', 'AtResumeGate');
    api.put(
      migrationRequests,
      migration({ decision: decision('Committed'), targetAgent: { state: 'Running' } }),
    );
    await expect(target()).rejects.toMatchObject({ code: 'RestoreFailed' });
  });

  it.each([
    ['aborted', 'Aborted', 'Restoring', 'Aborted'],
    ['committed and may have run', 'Committed', 'Resuming', 'RestoreFailed'],
    ['committed and forgotten', 'Committed', undefined, 'RestoreFailed'],
  ] as [string, Decision['outcome'], Stage | undefined, string][])(
    'is refused when the move is %s',
    async (_what, outcome, stage, code) => {
      move(outcome);
      if (stage) await record('target', stage);
      await expect(target()).rejects.toMatchObject({ code });
    },
  );

  it('resumes the sandbox of a former target that restarts', async () => {
    move('Committed');
    await record('target', 'Running');
    expect(await target()).toEqual({ ok: true, action: 'run' });
    expect(did).toEqual(['edit', 'resume']);
  });

  it('is refused on the node that its pod moves away from', async () => {
    api.put(pods, pod('app', SOURCE_UID));
    for (const stage of ['Locking', 'Sent', 'Stopping', 'Gone'] as const) {
      await record('source', stage);
      await expect(source()).rejects.toMatchObject({ code: 'MovedAway' });
    }
    await record('source', 'Resumed');
    expect(await source()).toEqual({ ok: true, action: 'run' });
  });

  it('is refused while a checkpoint is taken of its pod, also of one that was moved here', async () => {
    move('Committed');
    await record('target', 'Running');
    const checkpoint = (stage: Stage) =>
      journal.put({
        ...{ version: 1, id: 'c', role: 'checkpoint', kind: 'CheckpointRequest', name: 'keep' },
        ...{ namespace: NAMESPACE, pod: 'app-2', podUid: TARGET_UID, stage },
        ...{ steps: [], containers: [] },
      });
    for (const stage of ['Locking', 'Holding', 'Freezing', 'Dumping'] as const) {
      await checkpoint(stage);
      await expect(target()).rejects.toMatchObject({ code: 'CheckpointUnderWay' });
    }
    expect(did).toEqual([]);
    for (const stage of ['Stored', 'Resumed'] as const) {
      await checkpoint(stage);
      expect(await target()).toEqual({ ok: true, action: 'run' });
    }
  });

  it('is answered `run` again while the API server does not answer, if its pod has run here and stays', async () => {
    api.put(pods, pod('app', SOURCE_UID));
    api.reachable = false;
    await expect(source()).rejects.toMatchObject({ code: 'Unreachable' });
    api.reachable = true;
    await source();
    api.reachable = false;
    expect(await source()).toEqual({ ok: true, action: 'run' });
    await record('source', 'Gone');
    await expect(source()).rejects.toMatchObject({ code: 'MovedAway' });
  });

  it('is refused for a target while the API server does not answer', async () => {
    move();
    const gone = connection();
    const waiting = target(gone).catch(() => 'left');
    await expect.poll(() => gates.listAtCreateGate(REQUEST_UID)).toBeDefined();
    gone.abort();
    await waiting;
    api.reachable = false;
    await expect(target()).rejects.toMatchObject({ code: 'Unreachable' });
  });

  it('is refused if the pod’s annotation names a request that did not make it', async () => {
    api.put(pods, targetPod());
    await expect(target()).rejects.toMatchObject({ code: 'BadRequest' });
    api.put(migrationRequests, migration({}, { uid: 'another' }));
    await expect(target()).rejects.toMatchObject({ code: 'BadRequest' });
  });
});
