// SPDX-License-Identifier: Apache-2.0
// The node that keeps a checkpoint: decision table, and the reconciler over a real image directory.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fieldManagers, RestoreRequest } from '../../../../crds/src/index.ts';
import { restoreRequests } from '../../../../kube/src/index.ts';
import { AgentError } from '../../support/errors.ts';
import { handoverLoop } from '../handover-loop.ts';
import { MANIFEST_VERSION } from '../../node/transfer/manifest.ts';
import { Publisher } from '../publisher.ts';
import { MemoryApi } from '../../testing/api.ts';
import { decision, NAMESPACE } from '../../testing/objects.ts';
import type { SendOptions } from '../../node/transfer/sender.ts';
import { DataKey } from '../../node/encryption/data-key.ts';
import { ImageKeys } from '../../node/encryption/image-keys.ts';
import { ImageStore, type ImageEncryption } from '../../node/transfer/image-store.ts';
import { KEY_2026, MountedKeys, randomKey } from '../../testing/image-keys.ts';
import {
  decideImageSender,
  ImageSenderReconciler,
  type ImageSenderObserved,
} from './reconciler.ts';

const base: ImageSenderObserved = {
  decided: false,
  isTargetHere: false,
  sent: false,
  targetState: 'AtCreateGate',
  failure: undefined,
  limit: undefined,
};
const failure = { code: 'CheckpointNotFound', message: 'gone' };
const NOW = 1_000_000;
const limit = { at: NOW - 1, code: 'TransferDeadlineExceeded', message: 'step transfer' };

describe('the image sender’s decision', () => {
  it.each([
    ['sends to a target that waits', {}, 'Sent', ['SendImages']],
    ['sends again what broke off', { targetState: 'Receiving' }, 'Sent', ['SendImages']],
    ['waits for the target', { targetState: 'Preparing' }, 'Waiting', []],
    ['waits for a target that is not there', { targetState: undefined }, 'Waiting', []],
    ['sends once', { sent: true }, 'Sent', []],
    ['has nothing to send to itself', { isTargetHere: true }, 'Sent', []],
    ['says nothing once it is decided', { decided: true }, undefined, []],
    ['reports why it cannot', { failure }, 'Failed', []],
    ['gives up in time', { limit }, 'Failed', []],
    ['continues until then', { limit: { ...limit, at: NOW } }, 'Sent', ['SendImages']],
    ['has been in time', { limit, sent: true }, 'Sent', []],
  ] as [string, Partial<ImageSenderObserved>, string | undefined, string[]][])(
    '%s',
    (_what, observed, state, effects) => {
      const plan = decideImageSender({ ...base, ...observed }, NOW);
      expect(plan.status?.state).toBe(state);
      expect(plan.effects.map((effect) => effect.type)).toEqual(effects);
    },
  );
});

describe('the image sender', () => {
  let dir: string;
  let api: MemoryApi;
  let store: ImageStore;
  let encryption: ImageEncryption;
  let sent: SendOptions[];
  let refusal: Error | undefined;
  let sender: ImageSenderReconciler;
  const status = () => api.peek(restoreRequests, NAMESPACE, 'back')?.status;
  const run = () =>
    handoverLoop(sender)(`${NAMESPACE}/back`, {
      signal: new AbortController().signal,
      log: pino({ level: 'silent' }),
    });
  const put = (change: object = {}) =>
    api.put(
      restoreRequests,
      RestoreRequest.parse({
        metadata: { name: 'back', namespace: NAMESPACE, uid: 'r' },
        spec: { checkpointName: 'c' },
        status: {
          checkpointId: 'images',
          source: { nodeName: 'node-a' },
          target: { nodeName: 'node-b', agentAddress: '192.0.2.2:7460' },
          targetAgent: { state: 'AtCreateGate' },
          ...change,
        },
      }),
    );

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sealift-sender-'));
    encryption = { isOn: false, keys: new ImageKeys(join(dir, 'keys')) };
    store = new ImageStore(dir, encryption);
    await writeFile(join(await store.createDirectory('images', 'main'), 'core.img'), 'x');
    await store.seal('images', {
      ...{
        version: MANIFEST_VERSION,
        id: 'images',
        createdAt: '',
        versions: { sealift: '0', kernel: '6' },
      },
      ...{ containers: [{ name: 'main' }], volumes: [], bytes: { pages: 1, verbs: 2, rootfs: 3 } },
      identity: { qpns: [17], lkeys: [], rkeys: [], gids: [], ips: [], macs: [] },
      objects: { qp: 1, cq: 1, mr: 1 },
    });
    api = new MemoryApi();
    sent = [];
    refusal = undefined;
    sender = new ImageSenderReconciler({
      nodeName: 'node-a',
      store,
      certificateDir: '/nowhere',
      send: async (options) => {
        if (refusal) throw refusal;
        sent.push(options);
        return { manifest: options.manifest as never, digest: '' };
      },
      publisher: new Publisher({
        api,
        resource: restoreRequests,
        manager: fieldManagers.sourceAgent,
        field: 'sourceAgent',
      }),
      request: () => api.peek(restoreRequests, NAMESPACE, 'back'),
    });
  });
  afterEach(async () => {
    await rm(dir, { recursive: true });
  });

  it('sends once and reports what it sent', async () => {
    put();
    await run();
    await run();
    // Into the request's own directory: another request may restore from the same images there.
    expect(sent.map((one) => [one.id, one.address])).toEqual([['r', '192.0.2.2:7460']]);
    expect(await sent[0]?.images.list()).toEqual(['main/core.img']);
    expect(status()?.sourceAgent).toMatchObject({
      state: 'Sent',
      bytes: { pages: 1 },
      identity: { qpns: [17] },
    });
  });

  it('does not send again when the informer’s cache is late', async () => {
    put();
    await run();
    put({ sourceAgent: { state: 'Transferring' } });
    await run();
    expect([sent.length, status()?.sourceAgent?.state]).toEqual([1, 'Sent']);
  });

  it('leaves other nodes’ and decided requests alone', async () => {
    put({ source: { nodeName: 'node-c' } });
    await run();
    put({ decision: decision('Aborted') });
    await run();
    expect([sent, status()?.sourceAgent]).toEqual([[], undefined]);
  });

  it('repeats a transient failure and reports a permanent one', async () => {
    put();
    refusal = new AgentError('TransferFailed', 'connection refused');
    await expect(run()).rejects.toMatchObject({ code: 'TransferFailed' });
    await expect(run()).rejects.toMatchObject({ code: 'TransferFailed' });
    refusal = undefined;
    await run();
    expect(status()?.sourceAgent?.state).toBe('Sent');
  });

  it('reports that its images are gone', async () => {
    put();
    await store.remove('images');
    await expect(run()).rejects.toMatchObject({ code: 'CheckpointNotFound' });
    await run();
    expect(status()?.sourceAgent).toMatchObject({ state: 'Failed', reason: 'CheckpointNotFound' });
  });

  it('reports that the key of its images is gone', async () => {
    const mounted = new MountedKeys(join(dir, 'keys'));
    await mounted.mount({ [KEY_2026]: randomKey() });
    const wrapped = DataKey.make().wrap('images', await mounted.keys.newest());
    await writeFile(join(store.dir('images'), 'key.json'), JSON.stringify(wrapped));
    await mounted.mount({});
    encryption.keys = mounted.keys;
    put();
    await expect(run()).rejects.toMatchObject({ code: 'ImageKeyMissing' });
    await run();
    expect(sent).toEqual([]);
    expect(status()?.sourceAgent).toMatchObject({ state: 'Failed', reason: 'ImageKeyMissing' });
    expect(status()?.sourceAgent?.message).toContain(KEY_2026);
  });
});
