// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { TestDirectories } from '../testing/images.ts';
import { Journal } from '../support/journal/journal.ts';
import { claimPod } from './claim.ts';

const directories = new TestDirectories();
const pod = { namespace: 'default', pod: 'p', podUid: 'u' };

it('names the pod, and the request that is at work on it', async () => {
  const { journal } = await Journal.open(await directories.fresh());
  claimPod(journal, pod, 'a');
  expect(() => claimPod(journal, pod, 'b')).toThrow(
    'Another request is at work on pod default/p. Create a new request when it has finished.',
  );
  await journal.put({
    ...{ version: 1, id: 'a', role: 'source', kind: 'MigrationRequest', name: 'move' },
    ...{ ...pod, stage: 'Locking', containers: [], steps: [] },
  });
  expect(() => claimPod(journal, pod, 'b')).toThrow('MigrationRequest default/move is at work');
});
