// SPDX-License-Identifier: Apache-2.0
// A restore on the node that stores the checkpoint: what was decrypted for CRIU goes with the request, the checkpoint stays.
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pino from 'pino';
import { expect, it } from 'vitest';
import { fieldManagers, RestoreRequest } from '../../../../crds/src/index.ts';
import { restoreRequests } from '../../../../kube/src/index.ts';
import { Gates } from '../../callers/gates.ts';
import { ImageStore } from '../../node/transfer/image-store.ts';
import { Journal } from '../../support/journal/journal.ts';
import { MemoryApi } from '../../testing/api.ts';
import { manifestHeader, TestDirectories, writeImages } from '../../testing/images.ts';
import { decision, NAMESPACE } from '../../testing/objects.ts';
import { TargetNode } from '../../testing/target-node.ts';
import { handoverLoop } from '../handover-loop.ts';
import { Publisher } from '../publisher.ts';
import { TargetReconciler } from './reconciler.ts';

const directories = new TestDirectories();

it('an aborted restore leaves the checkpoint and nothing of its memory in plain text', async () => {
  const [root, api] = [await directories.fresh(), new MemoryApi()];
  const store = new ImageStore(root);
  for (const id of ['c1', 'r', 'r-of-another']) {
    await mkdir(join(root, id));
    await writeImages(join(root, id));
  }
  await store.seal('c1', manifestHeader('c1'));
  await writeFile(join(root, 'c1', 'key.json'), '{}');
  const request = RestoreRequest.parse({
    metadata: { name: 'back', namespace: NAMESPACE, uid: 'r' },
    spec: { checkpointName: 'c' },
    status: {
      checkpointId: 'c1',
      source: { nodeName: 'node-b' },
      target: { nodeName: 'node-b' },
      decision: decision('Aborted'),
    },
  });
  api.put(restoreRequests, request);
  const { journal } = await Journal.open(await directories.fresh());
  const target = new TargetReconciler<RestoreRequest>({
    ...{ api, kind: 'RestoreRequest', resource: restoreRequests, nodeName: 'node-b' },
    ...{ journal, gates: new Gates(), restorer: new TargetNode().restorer, store },
    publisher: new Publisher({
      ...{ api, resource: restoreRequests },
      ...{ manager: fieldManagers.targetAgent, field: 'targetAgent' },
    }),
    request: () => api.peek(restoreRequests, NAMESPACE, 'back'),
    imageId: () => 'c1',
    receiving: () => false,
    removeWork: async () => undefined,
  });
  await handoverLoop(target)(`${NAMESPACE}/back`, {
    signal: new AbortController().signal,
    log: pino({ level: 'silent' }),
  });
  expect((await readdir(root)).sort()).toEqual(['c1', 'r-of-another']);
});
