// SPDX-License-Identifier: Apache-2.0
// Which devices a container gets, in a bundle on a disk.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { RdmaDriver } from '../device/driver.ts';
import { readSpec } from './bundle.ts';
import { BundleEditor, type RestoredDevices } from './bundle-editor.ts';

const uverbs = { name: 'uverbs7', hostPath: '/dev/infiniband/uverbs7', major: 231, minor: 199 };
const PATHS = ['/dev/infiniband/uverbs7', '/dev/infiniband/rdma_cm'];

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sealift-bundle-'));
  await mkdir(join(root, 'sys/class/misc/rdma_cm'), { recursive: true });
  await writeFile(join(root, 'sys/class/misc/rdma_cm/dev'), '10:121\n');
  await mkdir(join(root, 'bundle'));
});
afterEach(() => rm(root, { recursive: true }));

function editor(devices = [uverbs]): BundleEditor {
  const driver = {
    uverbs: async () => devices[0],
    makeNode: async ({ name }: { name: string }, dir: string) => join(dir, name),
  } as unknown as RdmaDriver;
  return new BundleEditor({ path: (path: string) => join(root, path) } as never, driver);
}

const bundle = (annotations: object) =>
  writeFile(
    join(root, 'bundle/config.json'),
    JSON.stringify({
      annotations,
      linux: { namespaces: [{ type: 'network', path: '/run/netns/x' }] },
    }),
  );

/** The destinations of the bundle's mounts, and the minors that its rules allow. */
async function given(annotations: object, restored?: RestoredDevices) {
  await bundle(annotations);
  await editor().addDevices('/bundle', '/run/netns/x', restored);
  const { mounts, linux } = await readSpec(join(root, 'bundle'));
  const minors = linux.resources.devices.map((one) => one.minor);
  return [mounts.map((one) => one.destination), minors];
}

const asks = { 'sealift.dev/rdma-cm': 'true' };

it('has the uverbs node, and the RDMA connection manager if it asks for it', async () => {
  expect(await given({})).toEqual([PATHS.slice(0, 1), [199]]);
  expect(await given(asks)).toEqual([PATHS, [199, 121]]);
});

it('has what was checkpointed, whatever the annotation says by now', async () => {
  const at = { uverbs: '/dev/infiniband/uverbs0' };
  expect(await given(asks, at)).toEqual([[at.uverbs], [199]]);
  expect(await given({}, { ...at, rdmaCm: true })).toEqual([
    [at.uverbs, PATHS[1]],
    [199, 121],
  ]);
});

it('stays as it is without an RDMA device', async () => {
  await bundle(asks);
  expect(await editor([]).addDevices('/bundle', '/run/netns/x')).toBeUndefined();
  expect((await readSpec(join(root, 'bundle'))).mounts).toEqual([]);
});

it('is refused where the node has no connection manager, also before it is restored', async () => {
  await rm(join(root, 'sys/class/misc/rdma_cm'), { recursive: true });
  const refused = {
    code: 'DriverMissing',
    message: expect.stringContaining('rdma_ucm') as unknown,
  };
  await expect(given(asks)).rejects.toMatchObject(refused);
  const check = (devices = [uverbs]) => editor(devices).checkDevices('/bundle');
  await expect(check()).rejects.toMatchObject(refused);
  await check([]);
  for (const other of [{}, { 'sealift.dev/rdma-cm': 'yes' }]) {
    await bundle(other);
    await check();
  }
});
