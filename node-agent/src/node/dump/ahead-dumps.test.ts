// SPDX-License-Identifier: Apache-2.0
// Dumps that were started ahead, of pods with several containers: all of them are used, or none.
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { silent } from '../../../../kube/src/index.ts';
import { Host } from '../host/host.ts';
import { AheadDump } from '../runtime/ahead-dump.ts';
import type { Container } from '../runtime/containers.ts';
import { ImageStore } from '../transfer/image-store.ts';
import { AheadDumps } from './ahead-dumps.ts';

let dir: string;
beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'sealift-ahead-'))));
afterEach(() => rm(dir, { recursive: true, force: true }));

const container = (name: string) => ({ id: `id-${name}`, name, cgroup: '/x' }) as Container;
const pod = (containers: Container[]) => ({ podUid: 'pod', containers });
const pair = [container('main'), container('side')];

function dumps({ without }: { without?: string } = {}) {
  const did: string[] = [];
  const ahead = new AheadDumps({
    host: new Host({ root: '/' }),
    store: new ImageStore(join(dir, 'images')),
    workRoot: join(dir, 'work'),
    socketPath: '/run/x',
    log: silent,
    runc: {
      endFormerDump: async (id) => {
        did.push(`end ${id}`);
        return true;
      },
      startAhead: async ({ id }, { imagePath, workPath }) => {
        did.push(`start ${id} ${existsSync(imagePath) && existsSync(workPath)}`);
        if (id === without) throw new Error('EAGAIN');
        await writeFile(join(workPath, 'begin.waits'), '');
        return new AheadDump(join(workPath, 'begin'), ({ kill }) => {
          kill.addEventListener('abort', () => did.push(`kill ${id}`));
          return new Promise((_resolve, reject) => {
            kill.addEventListener('abort', () => reject(new Error('killed')));
          });
        });
      },
    },
  });
  return { ahead, did };
}

it('start in directories of their own, after what an earlier agent has left', async () => {
  const { ahead, did } = dumps();
  await ahead.start(pod([container('main')]), 'one');
  expect(did).toEqual(['end id-main', 'start id-main true']);
  expect([ahead.has('id-main'), ahead.has('id-side')]).toEqual([true, false]);
  const taken = await ahead.take([container('main')], 'one');
  expect([[...taken.keys()], ahead.has('id-main')]).toEqual([['id-main'], false]);
  await ahead.giveUp({ podUid: 'pod' });
  expect(did, 'whoever has taken it ends it').toHaveLength(2);
});

it('are used for the images for which they were started only', async () => {
  const { ahead, did } = dumps();
  await ahead.start(pod(pair), 'one');
  expect((await ahead.take(pair, 'two')).size).toBe(0);
  expect([ahead.has('id-main'), ahead.has('id-side')]).toEqual([false, false]);
  // They end side by side.
  const kills = did.filter((one) => one.startsWith('kill'));
  expect(kills.toSorted()).toEqual(['kill id-main', 'kill id-side']);
});

it('are used for all containers or for none, and a failure is none of the pod’s', async () => {
  const { ahead, did } = dumps({ without: 'id-side' });
  await ahead.start(pod(pair), 'one');
  expect(ahead.has('id-side')).toBe(false);
  expect((await ahead.take(pair, 'one')).size).toBe(0);
  expect(did).toContain('kill id-main');
  expect((await ahead.take(pair, 'one')).size).toBe(0);
});

it('of an earlier attempt end before the next', async () => {
  const { ahead, did } = dumps();
  await ahead.start(pod([container('main')]), 'one');
  await ahead.start(pod([container('main')]), 'one');
  expect(did.slice(2)).toEqual([
    'kill id-main',
    'end id-main',
    'end id-main',
    'start id-main true',
  ]);
  expect((await ahead.take([container('main')], 'one')).size).toBe(1);
});

it('of a pod end with it, though its containers have ended, and no other pod’s', async () => {
  const { ahead, did } = dumps();
  await ahead.start(pod([container('main')]), 'one');
  await ahead.start({ podUid: 'another', containers: [container('side')] }, 'two');
  await ahead.giveUp({ podUid: 'pod' });
  expect([ahead.has('id-main'), ahead.has('id-side')]).toEqual([false, true]);
  expect(did.filter((one) => one.startsWith('kill'))).toEqual(['kill id-main']);
});
