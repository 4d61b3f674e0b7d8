// SPDX-License-Identifier: Apache-2.0
// A ConfigMap's volume on two nodes: the target's looks like the source's, and an update comes as any other. The kubelet's part is
// played by the same calls that its AtomicWriter makes.
import {
  chmod,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Host } from '../host/host.ts';
import { packApiVolumes, unpackApiVolumes } from './api-volumes.ts';

/** Both nodes' files lie below one directory, so that a path is that of one node. */
class Node extends Host {
  readonly #root: string;
  constructor(root: string) {
    super({ root: '/' });
    this.#root = root;
  }
  override path(onHost: string): string {
    return join(this.#root, onHost);
  }
}

let dir: string;
let source: Node;
let target: Node;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-api-volumes-'));
  source = new Node(join(dir, 'a'));
  target = new Node(join(dir, 'b'));
  for (const node of [source, target]) await mkdir(node.path('/images'), { recursive: true });
});
afterEach(() => rm(dir, { recursive: true }));

const volume = (node: Host, plugin: string, name: string): string =>
  node.path(`/var/lib/kubelet/pods/u/volumes/kubernetes.io~${plugin}/${name}`);

/** As the kubelet's AtomicWriter. @param at the directory's name */
async function publish(base: string, at: string, files: Record<string, string>): Promise<void> {
  const old = await readlink(join(base, '..data')).catch(() => undefined);
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(base, at, path)), { recursive: true });
    await writeFile(join(base, at, path), content);
  }
  await symlink(at, join(base, '..data_tmp'));
  await rename(join(base, '..data_tmp'), join(base, '..data'));
  for (const top of new Set(Object.keys(files).map((path) => path.split('/')[0] ?? '')))
    await symlink(`..data/${top}`, join(base, top)).catch(() => undefined);
  if (old !== undefined) await rm(join(base, old), { recursive: true });
}

async function move(): Promise<void> {
  await packApiVolumes(source, 'u', '/images');
  await rename(source.path('/images'), join(dir, 'sent'));
  await rm(target.path('/images'), { recursive: true });
  await rename(join(dir, 'sent'), target.path('/images'));
  await unpackApiVolumes(target, 'u', '/images');
}

describe('a volume of the API', () => {
  it('has the source’s names and content on the target, file by file', async () => {
    const [from, to] = [volume(source, 'configmap', 'c'), volume(target, 'configmap', 'c')];
    await publish(from, '..1', { plain: 'old', gone: 'x', 'deep/er': 'd', empty: '' });
    await chmod(join(from, '..1/plain'), 0o640);
    await publish(to, '..2', { plain: 'newer', added: 'y', 'deep/er': 'd', empty: '' });
    await move();
    expect((await readdir(to)).sort()).toEqual(['..1', '..data', 'deep', 'empty', 'gone', 'plain']);
    expect(await readlink(join(to, '..data'))).toBe('..1');
    expect(await readFile(join(to, 'plain'), 'utf8')).toBe('old');
    expect((await stat(join(to, 'plain'))).mode & 0o777).toBe(0o640);
    expect(await readFile(join(to, 'gone'), 'utf8')).toBe('x');
    expect((await stat(join(to, 'empty'))).size).toBe(0);
    expect((await readdir(join(to, '..1'), { recursive: true })).sort()).toEqual(
      ['deep', 'deep/er', 'empty', 'gone', 'plain'], // prettier-ignore
    );
  });

  it('keeps the inodes of its files, which a container may have mounted alone', async () => {
    const [from, to] = [volume(source, 'secret', 's'), volume(target, 'secret', 's')];
    await publish(from, '..1', { same: 'a', other: 'of the source' });
    await publish(to, '..2', { same: 'a', other: 'of the target, and longer' });
    const before = await Promise.all(['same', 'other'].map((name) => stat(join(to, name))));
    const alone = await open(join(to, 'other'));
    await move();
    const after = await Promise.all(['same', 'other'].map((name) => stat(join(to, name))));
    expect(after.map(({ ino }) => ino)).toEqual(before.map(({ ino }) => ino));
    expect(after[0]?.mtimeMs).toBe(before[0]?.mtimeMs);
    expect(await alone.readFile('utf8')).toBe('of the source');
    await alone.close();
  });

  it('is updated by the kubelet afterwards, and can be prepared again after that', async () => {
    const [from, to] = [volume(source, 'projected', 'p'), volume(target, 'projected', 'p')];
    await publish(from, '..1', { key: 'old' });
    await publish(to, '..2', { key: 'new' });
    await move();
    await publish(to, '..3', { key: 'new' });
    expect((await readdir(to)).sort()).toEqual(['..3', '..data', 'key']);
    await unpackApiVolumes(target, 'u', '/images');
    expect((await readdir(to)).sort()).toEqual(['..1', '..data', 'key']);
    expect(await readFile(join(to, 'key'), 'utf8')).toBe('old');
  });

  it('is prepared by an agent that was killed between two of its steps', async () => {
    const [from, to] = [volume(source, 'configmap', 'c'), volume(target, 'configmap', 'c')];
    await publish(from, '..1', { key: 'old' });
    await publish(to, '..2', { key: 'new' });
    await rename(join(to, '..2'), join(to, '..1'));
    await symlink('..1', join(to, '..data_sealift'));
    await move();
    expect((await readdir(to)).sort()).toEqual(['..1', '..data', 'key']);
    expect(await readFile(join(to, 'key'), 'utf8')).toBe('old');
  });

  it('is found by its kind if it has the token of the pod’s service account', async () => {
    const from = volume(source, 'projected', 'kube-api-access-aaaaa');
    const to = volume(target, 'projected', 'kube-api-access-zzzzz');
    await publish(from, '..1', { token: 'old', 'ca.crt': 'c' });
    await publish(to, '..2', { token: 'new', 'ca.crt': 'c' });
    await move();
    expect(await readFile(join(to, '..1/token'), 'utf8')).toBe('old');
  });

  it('of a name that the new pod lacks is left out; images without any need nothing', async () => {
    await unpackApiVolumes(target, 'u', '/images');
    await publish(volume(source, 'configmap', 'c'), '..1', { key: 'old' });
    await publish(volume(target, 'configmap', 'd'), '..2', { key: 'new' });
    await move();
    expect(await readFile(join(volume(target, 'configmap', 'd'), 'key'), 'utf8')).toBe('new');
  });

  it('leads nowhere outside of itself', async () => {
    const from = volume(source, 'configmap', 'c');
    await publish(from, '..1', { key: 'old' });
    await publish(volume(target, 'configmap', 'c'), '..2', { key: 'new' });
    await symlink('../../../../etc', join(from, '..x'));
    await rename(join(from, '..x'), join(from, '..data'));
    await move();
    expect(await readlink(join(volume(target, 'configmap', 'c'), '..data'))).toBe('..2');
  });

  it('that holds what the kubelet does not make is refused', async () => {
    const from = volume(source, 'configmap', 'c');
    await publish(from, '..1', { key: 'old' });
    await symlink('/etc/passwd', join(from, '..1/link'));
    await expect(packApiVolumes(source, 'u', '/images')).rejects.toMatchObject({
      code: 'UnsupportedObject',
    });
  });
});
