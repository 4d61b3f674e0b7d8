// SPDX-License-Identifier: Apache-2.0
// The files of a pod whose containers and volumes have telling names, through the host's tar.
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Host, type RunOptions } from '../host/host.ts';
import { isInMemory } from '../host/in-memory.ts';
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

/** A cgroup of version 2 that a process can be put into. */
const unified = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup'].find((dir) =>
  existsSync(`${dir}/cgroup.controllers`),
);

describe.skipIf(unified === undefined || !existsSync('/dev/shm'))('a volume in memory', () => {
  const cgroup = `${unified ?? ''}/sealift-test-${process.pid}`;
  let memory: string;
  beforeEach(async () => {
    mkdirSync(cgroup);
    memory = await mkdtemp('/dev/shm/sealift-pod-files-');
  });
  afterEach(async () => {
    await rm(memory, { recursive: true });
    rmdirSync(cgroup);
  });

  /** In which cgroup tar runs, by what it unpacks into; and what it has unpacked. */
  async function unpacked(name: string, at: string, state: object): Promise<string[]> {
    await file(`${volume('old', name)}/content`, 'kept');
    await mkdir(join(root, '/images'));
    await packPodFiles(host, { podUid: 'old', containers: [], dir: '/images' });
    await file('/run/containerd/runc/k8s.io/s/state.json', JSON.stringify(state));
    await mkdir(join(root, volume('new', name)), { recursive: true });
    // tar runs a program of its own for each archive: it tells where tar is.
    const program = join(root, 'where');
    await writeFile(program, `#!/bin/sh\ncat /proc/self/cgroup >${join(root, 'was')}\ncat\n`);
    await chmod(program, 0o755);
    class Telling extends HostBelow {
      override path(onHost: string): string {
        return onHost === volume('new', name) ? at : super.path(onHost);
      }
      override check(of: string, args: readonly string[], options?: RunOptions) {
        const more = [...args, `--use-compress-program=${program}`];
        const below = more.map((one) =>
          /^\/(images|var)/.test(one) ? (one === volume('new', name) ? at : join(root, one)) : one,
        );
        return new Host({ root: '/' }).check(of, below, options);
      }
    }
    const to = { podUid: 'new', sandboxId: 's', bundle: '/new', container: 'main' };
    await unpackPodFiles(new Telling(root), '/images', to);
    expect(await readFile(join(at, 'content'), 'utf8')).toBe('kept');
    return (await readFile(join(root, 'was'), 'utf8')).split('\n');
  }
  const state = (cgroup_paths: object) => ({ init_process_pid: 1, cgroup_paths });
  const own = `0::/sealift-test-${process.pid}`;

  it('is charged to the new pod, not to the agent', async () => {
    expect(await unpacked('fast', memory, state({ '': cgroup }))).toContain(own);
  });

  it('is unpacked all the same where its sandbox has no such cgroup', async () => {
    const gone = state({ '': `${cgroup}-gone` });
    expect(await unpacked('fast', memory, gone)).not.toContain(own);
  });

  it('is not one on the disk', async () => {
    const disk = await mkdtemp(join(root, 'disk-'));
    const found = await unpacked('slow', disk, state({ '': cgroup }));
    // Where the disk of this machine is a tmpfs there is no other.
    expect(found.includes(own)).toBe(await isInMemory(disk));
  });
});
