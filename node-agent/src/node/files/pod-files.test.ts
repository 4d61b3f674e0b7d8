// SPDX-License-Identifier: Apache-2.0
// The files of a pod whose containers and volumes have telling names, through the host's tar.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Host, type RunOptions } from '../host/host.ts';
import type { Container } from '../runtime/containers.ts';
import { packPodFiles, unpackLayer, unpackPodFiles } from './pod-files.ts';

/** A host below a directory: arguments that are paths are below it too. */
class HostBelow extends Host {
  readonly #root: string;

  constructor(root: string) {
    super({ root });
    this.#root = root;
  }

  override mountinfo(): Promise<string> {
    return Promise.resolve(
      '40 1 0:40 / /b/rootfs rw - overlay overlay rw,lowerdir=/l,upperdir=/up,workdir=/w\n',
    );
  }

  override check(program: string, args: readonly string[], options?: RunOptions) {
    const below = args.map((one) =>
      one.replace(/^(--exclude-from=)?(?=\/)/, (prefix) => prefix + this.#root),
    );
    return new Host({ root: '/' }).check(program, below, options);
  }
}

let root: string;
let host: Host;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sealift-pod-files-'));
  host = new HostBelow(root);
});
afterEach(() => rm(root, { recursive: true }));

const volume = (podUid: string, name: string): string =>
  `/var/lib/kubelet/pods/${podUid}/volumes/kubernetes.io~empty-dir/${name}`;

async function file(path: string, text: string): Promise<void> {
  await mkdir(join(root, path, '..'), { recursive: true });
  await writeFile(join(root, path), text);
}

// Names are DNS labels (Kubernetes API, Container and Volume): these are the ones that images have files of.
it.each(['volumes', 'shm', 'rootfs', 'manifest', 'key'])(
  'keeps the layer of a container and an emptyDir volume apart that are called %s',
  async (name) => {
    await file('/up/of-the-layer', 'layer');
    await file(`${volume('old', 'rootfs')}/of-the-volume`, 'volume');
    await file(`${volume('old', name)}/of-its-namesake`, 'namesake');
    await mkdir(join(root, '/images', name), { recursive: true });
    const one = { name, bundle: '/b', sandboxId: 's' } as Container;
    await packPodFiles(host, { podUid: 'old', containers: [one], dir: '/images' });

    for (const path of ['/new/rootfs', volume('new', 'rootfs'), volume('new', name)])
      await mkdir(join(root, path), { recursive: true });
    const to = { podUid: 'new', sandboxId: 's', bundle: '/new', container: name };
    await unpackPodFiles(host, '/images', to);
    await unpackLayer(host, '/images', to);
    expect(await readdir(join(root, '/new/rootfs'))).toEqual(['of-the-layer']);
    expect(await readdir(join(root, volume('new', 'rootfs')))).toContain('of-the-volume');
    expect(await readFile(join(root, volume('new', name), 'of-its-namesake'), 'utf8')).toBe(
      'namesake',
    );
  },
);
