// SPDX-License-Identifier: Apache-2.0
// Processes in files as /proc and the cgroup show them.
import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Host } from '../host/host.ts';
import { BUNDLES } from '../runtime/containers.ts';
import { ExecSessions } from './exec-sessions.ts';

const FIRST = 100;
const RUNC = '/opt/sealift/releases/0123456789abcdef/bin/runc';
let root: string;
let proc: string;
let exec: ExecSessions;
const main = { id: 'c1', name: 'main', bundle: `${BUNDLES}/c1`, cgroup: '/cg/c1', pid: FIRST };

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sealift-exec-'));
  proc = join(root, 'proc');
  exec = new ExecSessions(new Host({ root }), proc, 300);
  await mkdir(join(root, 'cg/c1/below'), { recursive: true });
  await mkdir(join(root, main.bundle), { recursive: true });
  const config = {
    annotations: {
      'io.kubernetes.cri.container-type': 'container',
      'io.kubernetes.cri.sandbox-uid': 'u',
    },
    linux: { namespaces: [{ type: 'network', path: '/run/netns/x' }] },
  };
  await writeFile(join(root, main.bundle, 'config.json'), JSON.stringify(config));
  await add(FIRST, 1, 'app');
  await add(101, FIRST, 'worker');
  await add(102, 101, 'a) S 1 (b');
  await inCgroup([FIRST, 101, 102]);
  await writeFile(join(proc, 'uptime'), '1000.00 1.00\n');
});
afterEach(() => rm(root, { recursive: true }));

async function add(pid: number, parent: number, name: string, ageMs = 500_000): Promise<void> {
  await mkdir(join(proc, String(pid)), { recursive: true });
  const start = (1_000_000 - ageMs) / 10;
  const stat = `${pid} (${name}) S ${parent} ${'0 '.repeat(17)}${start} 0\n`;
  await writeFile(join(proc, String(pid), 'stat'), stat);
}
async function runs(pid: number, program: string, ...args: string[]): Promise<void> {
  await add(pid, 1, 'runc');
  await writeFile(join(proc, String(pid), 'status'), `Name:\trunc\nNSpid:\t${pid}\n`);
  await symlink(program, join(proc, String(pid), 'exe'));
  await writeFile(join(proc, String(pid), 'cmdline'), args.map((one) => `${one}\0`).join(''));
}
const end = (pid: number) => rm(join(proc, String(pid)), { recursive: true });
async function inCgroup(pids: number[], below: number[] = []): Promise<void> {
  const lines = (of: number[]) => of.map((one) => `${one}\n`).join('');
  await writeFile(join(root, 'cg/c1/cgroup.procs'), lines(pids));
  await writeFile(join(root, 'cg/c1/below/cgroup.procs'), lines(below));
}
const marker = () =>
  readFile(join(root, main.bundle, 'sealift-moving'), 'utf8').catch(() => undefined);
const refuse = (request = 'MigrationRequest default/move') => exec.refuse([main], request);

describe('a container that is dumped', () => {
  it('refuses exec until it resumes', async () => {
    await exec.check([main]);
    await refuse();
    await refuse();
    expect(await marker()).toBe('MigrationRequest default/move\n');
    expect((await stat(join(root, main.bundle, 'sealift-moving'))).mode & 0o777).toBe(0o600);
    await exec.allow([main]);
    await exec.allow([main]);
    expect(await marker()).toBeUndefined();
  });

  it('has the request’s name in one line that people can read', async () => {
    await refuse(`MigrationRequest d/\n\u00e9${'x'.repeat(300)}`);
    const text = (await marker()) ?? '';
    expect(text).toMatch(/^MigrationRequest d\/\?\?x+\n$/);
    expect(text).toHaveLength(128);
  });

  it.each([
    ['beside its first task', [FIRST, 101, 200], []],
    ['in a cgroup of its own below', [FIRST, 101], [200]],
  ])('is not dumped with a session %s', async (_where, pids, below) => {
    await add(200, 1, 'ib_write_bw');
    await add(201, 200, 'child');
    await inCgroup(pids, [...below, 201]);
    const refused = {
      code: 'ExecSessionOpen',
      message: expect.stringMatching(/^Process 200 \(ib_write_bw\) in container main/) as string,
    };
    await expect(exec.check([main])).rejects.toMatchObject(refused);
    await expect(refuse()).rejects.toMatchObject(refused);
    // The agent undoes it when the source resumes.
    expect(await marker()).toBeDefined();
  });

  it('waits for a probe, and does not take it for a session', async () => {
    await add(200, 1, 'probe', 3000);
    await inCgroup([FIRST, 200]);
    await exec.check([main]);
    const refused = refuse();
    setTimeout(() => void end(200), 100);
    await refused;
  });

  it.each([
    RUNC,
    `${RUNC} (deleted)`,
    '/opt/sealift/bin/sealift-runc',
    '/opt/sealift/releases/0/bin/sealift-runc',
    // /opt/sealift is a link to another disk.
    '/data/sealift/bin/sealift-runc',
  ])('waits for an exec that has begun: %s', async (program) => {
    await runs(300, program, 'runc', '--root', '/r', 'exec', '--detach', 'c1');
    const refused = refuse();
    setTimeout(() => void end(300), 100);
    await refused;
    await runs(301, program, 'runc', 'exec', 'c1');
    await expect(refuse()).rejects.toMatchObject({ code: 'ExecSessionOpen' });
  });

  it('does not wait for an exec elsewhere, nor for another program', async () => {
    await runs(300, RUNC, 'runc', 'exec', 'c2');
    await runs(301, RUNC, 'runc', 'state', 'c1');
    await runs(302, '/usr/bin/kubectl', 'kubectl', 'exec', 'c1');
    await refuse();
  });

  it('does not wait for a process of a container that looks like an exec', async () => {
    await runs(300, '/tmp/runc', 'runc', 'exec', 'c1');
    await writeFile(join(proc, '300/status'), 'Name:\trunc\nNSpid:\t300\t7\n');
    await refuse();
  });

  it('is joined again when the journal knows of no request', async () => {
    await refuse();
    await exec.allowOrphans((podUid) => podUid === 'u');
    expect(await marker()).toBeDefined();
    await exec.allowOrphans(() => false);
    expect(await marker()).toBeUndefined();
    await refuse();
    await writeFile(join(root, main.bundle, 'config.json'), 'nonsense');
    await exec.allowOrphans(() => true);
    expect(await marker()).toBeUndefined();
  });
});
