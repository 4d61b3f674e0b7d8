// SPDX-License-Identifier: Apache-2.0
// A checkpoint of a pod whose probes are open, on a node that is a few flags: when its peers' time begins, and what a
// deletion ends.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CheckpointRequest, fieldManagers } from '../../../../crds/src/index.ts';
import { checkpointRequests, pods } from '../../../../kube/src/index.ts';
import { clockAt } from '../../../../kube/testing/clock.ts';
import { RequestLookup } from '../../callers/request-lookup.ts';
import type { Checkpointer } from '../../node/dump/checkpointer.ts';
import type { ProbeAnswers } from '../../node/probes/probe-answers.ts';
import { MANIFEST_VERSION } from '../../node/transfer/manifest.ts';
import { ImageStore } from '../../node/transfer/image-store.ts';
import { AgentError } from '../../support/errors.ts';
import { DiskDirectory } from '../../support/journal/journal-directory.ts';
import { Journal } from '../../support/journal/journal.ts';
import { MemoryApi } from '../../testing/api.ts';
import { NAMESPACE, pod, SOURCE_UID } from '../../testing/objects.ts';
import { handoverLoop } from '../handover-loop.ts';
import { Publisher } from '../publisher.ts';
import { CheckpointReconciler } from './reconciler.ts';

const UID = '44444444-4444-4444-8444-444444444444';
const KEY = `${NAMESPACE}/saved`;
/** How long the pod's peers retry: longer than the margin, shorter than a slow probe. */
const BUDGET_MS = 8000;

const IPS = ['10.1.2.3'];

describe('a checkpoint', () => {
  let dir: string;
  let api: MemoryApi;
  let journal: Journal;
  let store: ImageStore;
  let reconciler: CheckpointReconciler;
  let did: string[];
  let later: number;
  /** What happens while the pod's probes are open. */
  let whileOpen: (signal: AbortSignal | undefined) => Promise<void>;
  /** How long the freezer takes. */
  let freezeMs: number;
  /** Addresses of closed sockets, which no target has. */
  let closed: string[];

  const clock = clockAt(() => Date.now() + later);
  const passed = (ms: number): void => void (later += ms);
  const request = () => api.peek(checkpointRequests, NAMESPACE, 'saved');
  const put = (metadata: object = {}): void =>
    api.put(
      checkpointRequests,
      CheckpointRequest.parse({
        metadata: { name: 'saved', namespace: NAMESPACE, uid: UID, ...metadata },
        spec: { podName: 'app', timeoutSeconds: 60 },
        status: {
          nodeName: 'node-a',
          podUID: SOURCE_UID,
          checkpointId: UID,
          deadline: new Date(Date.now() + 60_000).toISOString(),
        },
      }),
    );
  const run = () =>
    handoverLoop(reconciler, clock)(KEY, {
      signal: new AbortController().signal,
      log: pino({ level: 'silent' }),
    });

  const checkpointer = {
    inspectPod: async () => ({
      podUid: SOURCE_UID,
      netns: '/run/netns/x',
      containers: [{ id: 'c', name: 'main' }],
    }),
    firstPeerToGiveUp: async () => ({
      ...{ device: 'rxe0', number: 17, handle: 1, owner: 'Process 41 (app)' },
      peer: { rnrRetry: 6, retryCount: 7, timeout: 14, budgetMs: BUDGET_MS },
    }),
    leastBytes: async () => 2 ** 30,
    lockNetwork: async () => void did.push('lock'),
    holdDevice: async () => void did.push('hold'),
    freezeTasks: async () => {
      passed(freezeMs);
      did.push('freeze');
    },
    lostOfFrozen: async (_pod: unknown, addresses: readonly string[], connections: unknown) => {
      expect([did.at(-1), addresses, connections]).toEqual(['freeze', IPS, 'Refuse']);
      return { count: 0, lend: closed };
    },
    dumpContainers: async (_pod: unknown, id: string) => {
      await store.createDirectory(id, 'main');
      did.push('dump');
      const identity = { qpns: [17], lkeys: [], rkeys: [], gids: [], ips: [], macs: [] };
      const bytes = { pages: 0, verbs: 0, rootfs: 0 };
      const objects = { qp: 1, cq: 1, mr: 1 };
      const versions = { sealift: '0.1.0', kernel: '6.12' };
      const header = {
        ...{ version: MANIFEST_VERSION, id, createdAt: '2026-01-01T00:00:00Z', versions },
        ...{ containers: [{ name: 'main' }], volumes: [], identity, bytes, objects },
      };
      return { header, identity, bytes, objects };
    },
    resumePod: async () => void did.push('resume'),
  } as unknown as Checkpointer;
  const probes = {
    probesOf: async () => ({ addresses: ['10.0.0.1'], ports: [80], userAgents: ['kube-probe'] }),
    inPlace: async () => void did.push('probes'),
    openProbesEnd: async (_probes: unknown, signal?: AbortSignal) => whileOpen(signal),
  } as unknown as ProbeAnswers;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sealift-checkpoint-'));
    api = new MemoryApi();
    ({ journal } = await Journal.open(join(dir, 'journal')));
    store = new ImageStore(join(dir, 'images'));
    [did, later, freezeMs, closed] = [[], 0, 0, []];
    whileOpen = () => Promise.resolve();
    api.put(pods, pod('app', SOURCE_UID, {}, { podIPs: IPS.map((ip) => ({ ip })) }));
    put();
    reconciler = new CheckpointReconciler({
      ...{ nodeName: 'node-a', journal, checkpointer, store, probes, clock },
      pods: new RequestLookup(api),
      publisher: new Publisher({
        api,
        resource: checkpointRequests,
        manager: fieldManagers.checkpointAgent,
        field: 'agent',
        mentionMs: 0,
      }),
      request,
      removeWork: () => Promise.resolve(),
    });
  });
  afterEach(async () => {
    await rm(dir, { recursive: true });
  });

  const steps = ['probes', 'lock', 'hold', 'freeze', 'dump', 'resume'];

  it('says at which addresses CRIU has to bind closed sockets', async () => {
    closed = ['10.9.9.9'];
    await run();
    expect(request()?.status?.agent?.state).toBe('Stored');
    expect((await store.manifest(UID))?.manifest.resets).toEqual(closed);
  });

  it('is refused before the lock where its images do not fit on the disk', async () => {
    vi.spyOn(store, 'freeBytes').mockResolvedValue(2 ** 30);
    await expect(run()).rejects.toMatchObject({ code: 'DiskFull' });
    await run();
    expect(did).toEqual([]);
    expect(request()?.status?.agent).toMatchObject({ state: 'Failed', reason: 'DiskFull' });
  });

  it.each(['Stored', 'Dumping'] as const)(
    'that is deleted in stage %s says why its images stay, and removes them later',
    async (stage) => {
      await run();
      await journal.change(UID, 'checkpoint', (now) => ({ ...now!, stage }));
      const { metadata, ...rest } = request()!;
      const deletionTimestamp = '2026-01-01T00:00:00Z';
      api.put(checkpointRequests, { ...rest, metadata: { ...metadata, deletionTimestamp } });
      const remove = vi
        .spyOn(store, 'remove')
        .mockRejectedValue(Object.assign(new Error('EROFS: rmdir'), { code: 'EROFS' }));
      await expect(run()).rejects.toThrow('EROFS');
      expect(request()?.status?.agent).toMatchObject({
        state: 'Stored',
        notRemoved: expect.stringMatching(
          /^The agent of node node-a cannot remove the images: .*EROFS: rmdir\. Check its file system/,
        ) as string,
      });
      remove.mockRestore();
      await run();
      expect(request()?.status?.agent?.state).toBe('Removed');
      expect(request()?.status?.agent).not.toHaveProperty('notRemoved');
      expect(await store.ids()).toEqual([]);
      expect(journal.get(UID, 'checkpoint')).toBeUndefined();
    },
  );

  it('leaves no pod frozen where the disk takes nothing any more', async () => {
    const put = vi.spyOn(DiskDirectory.prototype, 'replace');
    vi.spyOn(checkpointer, 'dumpContainers').mockImplementationOnce(async () => {
      put.mockRejectedValue(Object.assign(new Error('no space'), { code: 'ENOSPC' }));
      throw new AgentError('DiskFull', 'The node has no space left for the images of this dump.');
    });
    await expect(run()).rejects.toMatchObject({ code: 'DiskFull' });
    await expect(run()).rejects.toThrow('no space');
    expect(did).toEqual([...steps.slice(0, -2), 'resume']);
    put.mockRestore();
    await run();
    expect(request()?.status?.agent).toMatchObject({ state: 'Failed', reason: 'DiskFull' });
  });

  it('counts its peers’ time from the hold, not from before the open probes end', async () => {
    whileOpen = () => Promise.resolve(passed(BUDGET_MS + 1000));
    await run();
    expect(did).toEqual(steps);
    expect(request()?.status?.agent).toMatchObject({ state: 'Stored' });
  });

  it('counts it from then on', async () => {
    whileOpen = () => Promise.resolve(passed(BUDGET_MS + 1000));
    freezeMs = BUDGET_MS + 1000;
    await expect(run()).rejects.toMatchObject({ code: 'PeerRetryBudgetExceeded' });
    expect(did).toEqual(['probes', 'lock', 'hold', 'freeze']);
  });

  it('ends in time while probes are open', async () => {
    whileOpen = () => Promise.resolve(passed(61_000));
    await expect(run()).rejects.toMatchObject({ code: 'DeadlineExceeded' });
    expect(did).toEqual(['probes']);
  });

  it('that is deleted waits for no open probe, and never locks the pod', async () => {
    const open = Promise.withResolvers<void>();
    whileOpen = (signal) => {
      open.resolve();
      return new Promise((resolve) => {
        signal?.addEventListener('abort', () => resolve(), { once: true });
      });
    };
    const running = run();
    await open.promise;
    put({ deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['sealift.dev/images'] });
    const deleted = request();
    if (deleted) reconciler.interrupt(deleted);
    await expect(running).rejects.toMatchObject({ code: 'Aborted' });
    await run();
    expect(did).toEqual(['probes', 'resume']);
    expect(journal.get(UID, 'checkpoint')).toBeUndefined();
  });

  it('that is deleted before its probes are answered never changes the pod', async () => {
    const lookUp = api.getRaw.bind(api);
    api.getRaw = async (...what) => {
      const found = await lookUp(...what);
      put({ deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['sealift.dev/images'] });
      return found;
    };
    await expect(run()).rejects.toMatchObject({ code: 'Aborted' });
    expect([did, journal.get(UID, 'checkpoint')]).toEqual([[], undefined]);
  });
});
