// SPDX-License-Identifier: Apache-2.0
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { StartWatches } from './start-watches.ts';

let base: string;
let bundle: string;
let watches: StartWatches;
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'sealift-starts-'));
  bundle = join(base, 'run/containerd/c');
  await mkdir(bundle, { recursive: true });
  watches = new StartWatches({ path: (onHost) => join(base, onHost) });
});
afterEach(() => rm(base, { recursive: true, force: true }));

const container = { id: 'c', bundle: '/run/containerd/c' };
const start = (): Promise<void> => writeFile(join(bundle, 'sealift-started'), '');

it('a container that is started is told once, however often it is followed', async () => {
  let told = 0;
  for (let at = 0; at < 3; at++) watches.follow(container, () => told++);
  await writeFile(join(bundle, 'init.pid'), '17');
  await sleep(50);
  expect(told, 'other files are none').toBe(0);
  await start();
  await expect.poll(() => told).toBe(1);
  await rm(join(bundle, 'sealift-started'));
  await start();
  await sleep(50);
  expect(told).toBe(1);
});

it('a container that is made again under the same id is followed again', async () => {
  let told = 0;
  watches.follow(container, () => told++);
  await start();
  await expect.poll(() => told).toBe(1);
  await rm(join(bundle, 'sealift-started'));
  watches.follow(container, () => told++);
  await start();
  await expect.poll(() => told).toBe(2);
});

it('a bundle that is gone is no error', () => {
  watches.follow({ id: 'x', bundle: '/run/containerd/x' }, () => undefined);
});
