// SPDX-License-Identifier: Apache-2.0
// What is said about a node that lacks something. Over real directories that stand for the node's root.
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentError } from '../../support/errors.ts';
import { Host } from '../host/host.ts';
import {
  cgroupProblem,
  multusProblem,
  nftablesProblem,
  noteProblem,
  runtimeProblem,
  runtimeProblemFile,
} from './problems.ts';

const MAIN = '/etc/containerd/config.toml';
const binary = '/opt/sealift/bin/sealift-runc';
let root = '';
let host: Host;
const put = async (path: string, text = ''): Promise<void> => {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
};
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'problems-'));
  host = new Host({ root });
});
afterEach(() => rm(root, { recursive: true }));

describe('the runtime', () => {
  const problem = (o: { version?: string; configured?: boolean; find?: () => never } = {}) =>
    runtimeProblem(
      host,
      {
        ...{ handler: 'sealift', binary, runDir: root, configured: o.configured ?? true },
        restart: 'kubectl delete pod one',
        runtimeVersion: o.version ?? 'containerd://1.7.24',
      },
      async () => o.find?.() ?? { mainFile: MAIN },
    );
  const handler = (program: string): string =>
    `version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.sealift.options]\n  BinaryName = "${program}"\n`;

  it('lacks nothing with the handler, whoever has added it, and whatever was noted before', async () => {
    await put(MAIN, handler(binary));
    await noteProblem(runtimeProblemFile(root), { code: 'RuntimeFailed', message: 'earlier' });
    for (const configured of [true, false]) expect(await problem({ configured })).toBeUndefined();
  });

  it.each(['cri-o://1.35.0', 'docker://28.1.1', 'containerd://1.6.20~ds1', 'containerd://Unknown'])(
    'is %s, which Sealift does not work with, also where nobody is to configure it',
    async (version) => {
      for (const configured of [true, false])
        expect(await problem({ version, configured })).toMatchObject({
          code: 'RuntimeUnsupported',
        });
    },
  );

  it('has no handler, where the installer may not add it', async () => {
    expect(await problem({ configured: false })).toMatchObject({
      code: 'HandlerMissing',
      message: expect.stringContaining('Set agent.runtime.configure to true') as string,
    });
  });

  it('has no handler because of what the installer has met', async () => {
    const noted = { code: 'RuntimeFailed', message: 'containerd refuses its own configuration' };
    await noteProblem(runtimeProblemFile(root), noted);
    expect(await problem()).toEqual(noted);
    await noteProblem(runtimeProblemFile(root), undefined);
    expect((await problem())?.message).not.toContain('Set agent.runtime.configure');
    expect((await problem())?.message).toContain('run kubectl delete pod one');
    // A note that was not written to its end.
    await put('/runtime-problem.json', '{"code":');
    expect((await problem())?.code).toBe('HandlerMissing');
  });

  it('has another handler of that name', async () => {
    await put(MAIN, handler('/usr/bin/runsc'));
    expect(await problem({ configured: false })).toMatchObject({
      code: 'HandlerTaken',
      message: expect.stringContaining('/usr/bin/runsc') as string,
    });
  });

  it('is not found', async () => {
    const find = (): never => {
      throw new AgentError('RuntimeUnsupported', 'No containerd runs on this node.');
    };
    expect((await problem({ find }))?.code).toBe('RuntimeUnsupported');
  });
});

describe('cgroups', () => {
  it('are of version 2, or the node says so', async () => {
    expect(cgroupProblem(host)).toMatchObject({ code: 'CgroupV1' });
    await put('/sys/fs/cgroup/cgroup.controllers', 'cpu memory\n');
    expect(cgroupProblem(host)).toBeUndefined();
  });
});

describe('nf_tables', () => {
  it('is there, or the node says so', async () => {
    const asked: string[][] = [];
    const nft = async (...of: string[]): Promise<string> => {
      asked.push(of);
      return 'table inet kube-proxy';
    };
    expect(await nftablesProblem(nft)).toBeUndefined();
    expect(asked).toEqual([['/proc/1/ns/net', 'list tables']]);
    const none = () =>
      Promise.reject(new Error('Unable to initialize Netlink socket: Protocol not supported'));
    expect(await nftablesProblem(none)).toMatchObject({
      code: 'NftablesMissing',
      message: expect.stringContaining('Protocol not supported') as string,
    });
  });
});

describe('Multus', () => {
  it('counts where the first file that can be read is its', async () => {
    await mkdir(join(root, '/etc/cni/net.d/00-dir.conf'), { recursive: true });
    await symlink('/gone', join(root, '/etc/cni/net.d/01-link.conflist'));
    await put('/etc/cni/net.d/99-multus.conf.bak', '{"type":"bridge"}');
    expect((await multusProblem(host))?.message).toContain('none in /etc/cni/net.d');
    await put('/etc/cni/net.d/10-cilium.conflist', '{"plugins":[{"type":"cilium-cni"}]}');
    expect((await multusProblem(host))?.message).toContain('10-cilium.conflist');
    await put('/etc/cni/net.d/05-multus.conf', '{"type": "multus"}');
    expect(await multusProblem(host)).toBeUndefined();
  });
});
