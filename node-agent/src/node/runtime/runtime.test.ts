// SPDX-License-Identifier: Apache-2.0
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Host } from '../host/host.ts';
import { DEVICE_DIR, parseSpec, uverbsPath, withUverbs, type OciSpec } from './bundle.ts';
import { Cgroup, findCgroup } from './cgroup.ts';
import { inspectContainer, podContainers, RUNC_ROOT } from './containers.ts';
import { reasonInLog } from './criu-log.ts';

const spec = (annotations: Record<string, string>): OciSpec =>
  parseSpec(
    JSON.stringify({
      ociVersion: '1.1.0',
      process: { args: ['x'] },
      annotations,
      mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
      linux: {
        namespaces: [{ type: 'network', path: '/var/run/netns/cni-1' }, { type: 'pid' }],
        resources: { devices: [{ allow: false, access: 'rwm' }], memory: { limit: 5 } },
      },
    }),
  );

describe('a bundle', () => {
  it('gets the uverbs node under the name it had first, whatever its number here', () => {
    const node = { hostPath: '/dev/infiniband/uverbs7', major: 231, minor: 199 };
    const once = withUverbs(spec({}), node, '/dev/infiniband/uverbs0');
    expect(once.mounts).toEqual([
      { destination: '/proc', type: 'proc', source: 'proc' },
      {
        destination: '/dev/infiniband/uverbs0',
        source: '/dev/infiniband/uverbs7',
        type: 'bind',
        options: ['bind', 'nosuid', 'noexec', 'rw'],
      },
    ]);
    expect(once.linux.resources.devices).toEqual([
      { allow: false, access: 'rwm' },
      { allow: true, type: 'c', major: 231, minor: 199, access: 'rwm' },
    ]);
    expect(withUverbs(once, node, '/dev/infiniband/uverbs0')).toEqual(once);
    // What we do not know stays as it was.
    expect(once['process']).toEqual({ args: ['x'] });
    expect(once.linux.resources['memory']).toEqual({ limit: 5 });
  });

  it('tells the name that its uverbs node has, though nobody has it open', () => {
    const node = { hostPath: `${DEVICE_DIR}/uverbs7`, major: 231, minor: 199 };
    const given = withUverbs(spec({}), node, '/dev/infiniband/uverbs0');
    expect([uverbsPath(given), uverbsPath(spec({}))]).toEqual([
      '/dev/infiniband/uverbs0',
      undefined,
    ]);
  });

  it('is refused when it is not one', () => {
    expect(() => parseSpec('nonsense')).toThrow(expect.objectContaining({ code: 'BadBundle' }));
    expect(() => parseSpec('{}')).toThrow(expect.objectContaining({ code: 'BadBundle' }));
  });
});

describe('the containers of a pod', () => {
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'sealift-host-'));
    const bundles = join(root, 'run/containerd/io.containerd.runtime.v2.task/k8s.io');
    const add = async (id: string, type: string, uid: string, name: string, pid?: number) => {
      await mkdir(join(bundles, id), { recursive: true });
      const annotations = {
        'io.kubernetes.cri.container-type': type,
        'io.kubernetes.cri.sandbox-uid': uid,
        'io.kubernetes.cri.sandbox-id': 'box',
        'io.kubernetes.cri.sandbox-name': 'pod',
        'io.kubernetes.cri.sandbox-namespace': 'default',
        'io.kubernetes.cri.container-name': name,
      };
      await writeFile(join(bundles, id, 'config.json'), JSON.stringify(spec(annotations)));
      if (pid === undefined) return;
      await mkdir(join(root, RUNC_ROOT, id), { recursive: true });
      const state = JSON.stringify({ init_process_pid: pid });
      await writeFile(join(root, RUNC_ROOT, id, 'state.json'), state);
    };
    await add('box', 'sandbox', 'uid-1', '', 10);
    await add('c2', 'container', 'uid-1', 'second', 12);
    await add('c1', 'container', 'uid-1', 'first', 11);
    await add('c3', 'container', 'uid-2', 'other', 13);
    await add('c4', 'container', 'uid-1', 'not-started');
    await mkdir(join(bundles, 'being-made'));
  });
  afterAll(async () => {
    await rm(root, { recursive: true, force: true });
  });

  it('are found by the pod’s UID, sandboxes and half-made ones left out', async () => {
    const host = new Host({ root });
    const found = await podContainers(host, 'uid-1');
    expect(found.map(({ id, name, pid }) => ({ id, name, pid }))).toEqual([
      { id: 'c1', name: 'first', pid: 11 },
      { id: 'c2', name: 'second', pid: 12 },
    ]);
    expect(found[0]?.netns).toBe(join(root, 'run/netns/cni-1'));
    expect(await inspectContainer(host, 'box')).toBeUndefined();
    expect(await inspectContainer(host, 'being-made')).toBeUndefined();
  });
});

describe('a log of CRIU', () => {
  it.each([
    ['sealift: unsupported: SRQ 3: use no shared receive queues', 'UnsupportedObject'],
    ['sealift: image-version: ibverbs-0.img has version 9', 'ImageVersion'],
    ['sealift: driver-abi: the image is of driver rxe with ABI 9', 'ImageVersion'],
    ['sealift: image-damaged: ibverbs-0.img was altered', 'ImageCorrupt'],
    ['sealift: image-missing: ibverbs-0.img', 'ImageTruncated'],
    ['(00.1) Error (ibverbs): sealift: gid: no address at index 3', 'RestoreFailed'],
    ['(00.1) Error (criu/mem.c:9): write: No space left on device', 'DiskFull'],
    ["(00.1) Error (criu/sk-unix.c:9): Can't dump half of a stream", 'UnsupportedObject'],
    ['(00.1) Error (criu/tun.c:9): something else', 'RestoreFailed'],
    ['', 'RestoreFailed'],
  ])('%s', (line, code) => {
    const log = `(00.0) Version: 4.1.1\n${line}\n(00.2) Error (criu/cr-restore.c:1): Restoring FAILED.\n`;
    expect(reasonInLog(line ? log : '', 'RestoreFailed').code).toBe(code);
  });

  it('says what to do about an image', () => {
    const message = (line: string) => reasonInLog(`Error (ibverbs): ${line}\n`, 'Internal').message;
    expect(message('sealift: image-missing: ibverbs-0.img')).toBe(
      'ibverbs-0.img is not among the images: checkpoint again',
    );
    expect(message('sealift: image-damaged: x was altered')).toBe(
      'x was altered: checkpoint again',
    );
  });

  it('gives the first error as the message', () => {
    const log =
      '(00.1) Error (criu/files.c:7): no file\n(00.2) Error (criu/x.c:1): Restoring FAILED.\n';
    expect(reasonInLog(log, 'RestoreFailed')).toEqual({
      code: 'RestoreFailed',
      message: 'no file',
    });
  });
});

describe('a container’s cgroup', () => {
  it.each([
    'kubepods/besteffort/podu/0123abc',
    'kubepods.slice/kubepods-podu.slice/cri-containerd-0123abc.scope',
  ])('is found by its id, and all in it die frozen: %s', async (path) => {
    const dir = await mkdtemp(join(tmpdir(), 'sealift-cgroup-'));
    const own = join(dir, path);
    await mkdir(own, { recursive: true });
    await mkdir(join(dir, 'kubepods', 'other'), { recursive: true });
    expect(await findCgroup(dir, '0123abc')).toBe(own);
    expect(await findCgroup(dir, 'fff')).toBeUndefined();
    expect(await findCgroup(dir, '')).toBeUndefined();
    expect(await findCgroup(join(dir, 'gone'), '0123abc')).toBeUndefined();
    await new Cgroup(own).killFrozen();
    const written = ['cgroup.freeze', 'cgroup.kill'].map((name) =>
      readFile(join(own, name), 'utf8'),
    );
    expect(await Promise.all(written)).toEqual(['1', '1']);
    await new Cgroup(join(dir, 'gone')).killFrozen();
    await rm(dir, { recursive: true });
  });
});
