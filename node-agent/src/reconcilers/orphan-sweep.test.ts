// SPDX-License-Identifier: Apache-2.0
// The sweep on a real journal and a real image directory.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  ApiError,
  checkpointRequests,
  FakeClock,
  migrationRequests,
  pods,
} from '../../../kube/src/index.ts';
import { CheckpointRequest } from '../../../crds/src/index.ts';
import type { Checkpointer, LockedPod } from '../node/dump/checkpointer.ts';
import { Journal, type Entry } from '../support/journal/journal.ts';
import { OrphanSweep, removeIncoming } from './orphan-sweep.ts';
import { Gates } from '../callers/gates.ts';
import { ManyPods } from '../../../kube/testing/many-pods.ts';
import { MemoryApi } from '../testing/api.ts';
import { migration, NAMESPACE, pod, REQUEST_UID, SOURCE_UID } from '../testing/objects.ts';
import { ImageStore } from '../node/transfer/image-store.ts';

let dir: string;
let journal: Journal;
let api: MemoryApi;
let store: ImageStore;
let clock: FakeClock;
let gates: Gates;
let did: string[];
/** UID of a pod into which an agent before has refused every exec. */
let refusing: string | undefined;
let sweep: OrphanSweep;
/** What the informers have. */
let informed: { metadata: { uid: string }; status?: { checkpointId: string } }[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-sweep-'));
  ({ journal } = await Journal.open(join(dir, 'journal')));
  await mkdir(join(dir, 'images'));
  store = new ImageStore(join(dir, 'images'));
  api = new MemoryApi();
  clock = new FakeClock();
  gates = new Gates();
  did = [];
  informed = [];
  refusing = SOURCE_UID;
  const checkpointer = {
    resumePod: async (of: LockedPod) => void did.push(`release ${of.podUid} ${of.netns}`),
    stopPod: async (of: LockedPod) => void did.push(`end ${of.podUid} ${of.netns}`),
    allowOrphanedExec: async (isMoving: (podUid: string) => boolean) => {
      if (refusing !== undefined && !isMoving(refusing)) refusing = undefined;
    },
  } as unknown as Checkpointer;
  sweep = new OrphanSweep({
    api,
    nodeName: 'node-a',
    journal,
    gates,
    checkpointer,
    restorer: {
      killFrozen: async ({ id }) => void did.push(`kill ${id}`),
      resumePod: async (netns) => {
        did.push(`resume ${netns}`);
        return { refused: [], failures: [] };
      },
      thawRestored: async (all) => void did.push(`thaw ${all.map(({ id }) => id).join()}`),
    },
    store,
    requests: () => informed,
    removeWork: async (id) => void did.push(`work ${id}`),
    log: pino({ level: 'silent' }),
    clock,
  });
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

const base: Entry = {
  version: 1,
  id: REQUEST_UID,
  role: 'source',
  kind: 'MigrationRequest',
  namespace: NAMESPACE,
  name: 'move',
  pod: 'app',
  podUid: SOURCE_UID,
  stage: 'Freezing',
  netns: '/run/netns/x',
  containers: [],
  steps: [],
};
async function begin(change: Partial<Entry> = {}): Promise<void> {
  await journal.put({ ...base, ...change });
  await store.createDirectory(REQUEST_UID, 'main');
}
const left = async () => [journal.all().map((one) => one.stage), await store.ids()];
const minutes = (n: number) => clock.advance(n * 60_000);

const committed = { type: 'sealift.dev/committed', status: 'True', reason: '', message: '' };

describe('what is left', () => {
  it.each([
    [undefined, 'source', false],
    ['Freezing', 'source', true],
    ['Sent', 'source', true],
    ['Gone', 'source', true],
    ['Lost', 'source', true],
    ['Resumed', 'source', false],
    ['Dumping', 'checkpoint', true],
    ['Stored', 'checkpoint', false],
    ['Restoring', 'target', true],
    ['Resuming', 'target', true],
    ['Running', 'target', false],
    ['TornDown', 'target', false],
  ] as const)(
    'of a pod that refused exec: in stage %s of a %s it stays: %s',
    async (stage, role, stays) => {
      if (stage) await begin({ stage, role });
      api.put(migrationRequests, migration());
      await sweep.sweep();
      expect(refusing !== undefined).toBe(stays);
    },
  );

  it.each(['Freezing', 'Sent', 'Gone', 'Resumed', 'Stopping'] as const)(
    'is not touched while the request (%s) exists',
    async (stage) => {
      await begin({ stage });
      api.put(migrationRequests, migration());
      for (let n = 0; n < 3; n++) {
        await sweep.sweep();
        await minutes(60);
      }
      expect(await left()).toEqual([[stage], [REQUEST_UID]]);
      expect(did).toEqual([]);
    },
  );

  it('costs no call for requests that the informers have, however many', async () => {
    for (let n = 0; n < 100; n++) {
      const id = `request-${n}`;
      await journal.put({ ...base, id, name: id, stage: 'Gone' });
      await store.createDirectory(`checkpoint-${n}`, 'main');
      informed.push({ metadata: { uid: id }, status: { checkpointId: `checkpoint-${n}` } });
    }
    const calls = [vi.spyOn(api, 'getRaw'), vi.spyOn(api, 'get'), vi.spyOn(api, 'list')];
    await sweep.sweep();
    await minutes(120);
    await sweep.sweep();
    for (const call of calls) expect(call).not.toHaveBeenCalled();
    expect(journal.all()).toHaveLength(100);
    expect(await store.ids()).toHaveLength(100);
  });

  it('is not touched while the API server does not answer or does not know the kind', async () => {
    await begin();
    api.reachable = false;
    for (let n = 0; n < 3; n++) {
      await sweep.sweep();
      await minutes(60);
    }
    api.reachable = true;
    api.list = () => Promise.reject(new ApiError(404, 'NotFound', '404 page not found'));
    for (let n = 0; n < 3; n++) {
      await sweep.sweep();
      await minutes(60);
    }
    expect(await left()).toEqual([['Freezing'], [REQUEST_UID]]);
    expect(did).toEqual([]);
  });

  it('resumes the pod of a deleted request, but not before a running target would be seen', async () => {
    await begin();
    await sweep.sweep();
    await minutes(2);
    await sweep.sweep();
    expect(did).toEqual([]);
    await minutes(2);
    await sweep.sweep();
    expect(did).toEqual([`release ${SOURCE_UID} /run/netns/x`, `work ${REQUEST_UID}`]);
    expect(await left()).toEqual([[], []]);
  });

  it('looks for a target page by page', { timeout: 300_000 }, async () => {
    await begin();
    const many = new ManyPods(5_000, (one, n) =>
      n === 4_321
        ? pod('app-2', 'u', { 'sealift.dev/request-uid': REQUEST_UID }, { conditions: [committed] })
        : one,
    );
    const { client } = many;
    const list = api.list.bind(api);
    api.list = (of, options) => (of === pods ? client.list(of, options) : list(of, options));
    await sweep.sweep();
    expect(did).toContain(`end ${SOURCE_UID} /run/netns/x`);
    expect(many.highestMiB, 'MiB; all of them have 40').toBeLessThan(16);
  });

  it('stops a pod whose target was committed', async () => {
    await begin();
    api.put(pods, pod('app', SOURCE_UID));
    const annotations = { 'sealift.dev/request-uid': REQUEST_UID };
    api.put(pods, pod('app-2', 'u', annotations, { phase: 'Running', conditions: [committed] }));
    await sweep.sweep();
    expect(did).toEqual([`end ${SOURCE_UID} /run/netns/x`]);
    // Its create stays refused for as long as the pod exists.
    expect((await left())[0]).toEqual(['Gone']);
    api.remove(pods, NAMESPACE, 'app');
    await sweep.sweep();
    expect(await left()).toEqual([[], []]);
  });

  it('leaves a pod frozen while nothing says whether its target is to run', async () => {
    await begin();
    const annotations = { 'sealift.dev/request-uid': REQUEST_UID };
    // Frozen at its resume gate, or resumed a moment ago.
    const running = { name: 'main', restartCount: 0, state: { running: {} } };
    const put = (status: object) => api.put(pods, pod('app-2', 'u', annotations, status));
    put({ phase: 'Running', containerStatuses: [running] });
    for (let n = 0; n < 3; n++) {
      await sweep.sweep();
      await minutes(60);
    }
    expect(did).toEqual([]);
    put({ phase: 'Running', containerStatuses: [{ ...running, state: { terminated: {} } }] });
    await sweep.sweep();
    expect(did[0]).toBe(`release ${SOURCE_UID} /run/netns/x`);
  });

  it.each([
    [undefined, ['kill c1']],
    ['Committed', ['resume /run/netns/x', 'thaw c1']],
  ] as const)('ends a frozen target of a deleted request: decided %s', async (decided, done) => {
    const containers = [{ name: 'main', id: 'c1', bundle: '/b' }, { name: 'more' }];
    await begin({ role: 'target', stage: 'AtResumeGate', containers, decided });
    await sweep.sweep();
    await minutes(4);
    await sweep.sweep();
    expect(did).toEqual([...done, `work ${REQUEST_UID}`]);
  });

  it('repeats a stop that an earlier agent began', async () => {
    await begin({ stage: 'Stopping' });
    await sweep.sweep();
    expect(did[0]).toBe(`end ${SOURCE_UID} /run/netns/x`);
    expect(await left()).toEqual([[], []]);
  });

  it('is another request of the same name', async () => {
    await begin({ stage: 'Resumed' });
    api.put(migrationRequests, migration({}, { uid: 'another' }));
    await sweep.sweep();
    expect(await left()).toEqual([[], []]);
  });

  it('refuses the callers at the gates of a deleted request', async () => {
    await begin({ role: 'target', stage: 'Preparing' });
    const waiting = gates.waitAtCreateGate(
      REQUEST_UID,
      {
        ...{ op: 'create', id: 'c1', bundle: '/b', sandboxId: 'box', namespace: NAMESPACE },
        ...{
          pod: 'app-2',
          podUid: 'u',
          container: 'main',
          containers: ['main'],
          answer: { rnrTimer: 20, chooses: true },
        },
      },
      new AbortController().signal,
    );
    const refused = expect(waiting).rejects.toMatchObject({ code: 'Aborted' });
    await sweep.sweep();
    await refused;
    expect(await left()).toEqual([[], []]);
  });

  it('without an owner is removed only after an hour, and with an owner on this node never', async () => {
    const owner = (nodeName: string) =>
      CheckpointRequest.parse({
        metadata: { name: 'c', namespace: NAMESPACE, uid: 'owner' },
        spec: { podName: 'app' },
        status: { nodeName, checkpointId: 'kept' },
      });
    for (const id of ['kept', 'nobody']) await store.createDirectory(id, 'main');
    api.put(checkpointRequests, owner('node-a'));
    await sweep.sweep();
    expect(await store.ids()).toHaveLength(2);
    await minutes(61);
    api.reachable = false;
    await sweep.sweep();
    expect(await store.ids()).toHaveLength(2);
    api.reachable = true;
    await sweep.sweep();
    expect(await store.ids()).toEqual(['kept']);
    // A copy on a node that does not keep the checkpoint.
    api.put(checkpointRequests, owner('node-b'));
    await sweep.sweep();
    await minutes(61);
    await sweep.sweep();
    expect(await store.ids()).toEqual([]);
  });

  it('is half-received images, after a restart', async () => {
    await mkdir(join(dir, 'images', '.incoming-x'));
    await writeFile(join(dir, 'images', '.incoming-x', 'f'), '');
    await store.createDirectory('whole', 'main');
    await removeIncoming(join(dir, 'images'));
    await removeIncoming(join(dir, 'nowhere'));
    expect(await store.ids()).toEqual(['whole']);
  });
});
