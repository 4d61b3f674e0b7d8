// SPDX-License-Identifier: Apache-2.0
// Restored containers in the kernel's own freezer: as root, where cgroup v2 is mounted and processes can be put into a
// cgroup. The tasks are those of a PID namespace; a process beside them stands for CRIU.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Host } from '../host/host.ts';
import { RestoredContainers } from './restored-container.ts';

const ROOT = '/sys/fs/cgroup';
const ID = `sealift-test-${process.pid}`;
const own = join(ROOT, ID);

/** Whether this machine lets a test make cgroups and fill them. */
function canFreeze(): boolean {
  try {
    return process.getuid?.() === 0 && existsSync(join(ROOT, 'cgroup.procs')) && isWritable();
  } catch {
    return false;
  }
}
function isWritable(): boolean {
  const child = spawn('sleep', ['1']);
  writeFileSync(join(ROOT, 'cgroup.procs'), String(child.pid));
  child.kill('SIGKILL');
  return true;
}

describe.skipIf(!canFreeze())('a restored container', () => {
  let dir: string;
  let containers: RestoredContainers;
  let of: { id: string; bundle: string };
  const children: ChildProcess[] = [];
  /** Starts a program in the container's cgroup. */
  const start = async (...command: string[]): Promise<number> => {
    const [program = '', ...args] = command;
    const child = spawn(program, args, { stdio: 'ignore' });
    children.push(child);
    await writeFile(join(own, 'cgroup.procs'), String(child.pid));
    return child.pid ?? 0;
  };
  const procs = async () => (await readFile(join(own, 'cgroup.procs'), 'utf8')).trim().split('\n');
  const count = async () => (await readFile(join(dir, 'count'), 'utf8').catch(() => '')).length;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sealift-restored-'));
    await mkdir(own);
    await mkdir(join(dir, 'bundle'));
    of = { id: ID, bundle: join(dir, 'bundle') };
    containers = new RestoredContainers(new Host({ root: '/' }));
    // Its init writes on and on.
    const loop = `while :; do printf x >> ${join(dir, 'count')}; sleep 0.02; done`;
    await start('sh', '-c', `sleep 0.3; exec unshare --pid --fork --kill-child sh -c '${loop}'`);
    await expect.poll(count, { timeout: 5000 }).toBeGreaterThan(0);
  });
  afterEach(async () => {
    await writeFile(join(own, 'cgroup.kill'), '1').catch(() => undefined);
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await expect.poll(async () => readFile(join(own, 'cgroup.events'), 'utf8')).toMatch(/populated 0/);
    await rmdir(own);
    await rm(dir, { recursive: true });
  });

  it('is frozen without CRIU, counts once it is started, and runs when it is thawed', async () => {
    expect(await containers.state(of)).toBe('Thawed');
    const criu = await start('sleep', '60');
    await containers.freeze(of);
    expect(await procs()).not.toContain(String(criu));
    const before = await count();
    await sleep(200);
    expect(await count()).toBe(before);
    // Its create has not returned.
    expect(await containers.state(of)).toBe('Restoring');
    await writeFile(join(of.bundle, 'sealift-started'), '');
    expect(await containers.state(of)).toBe('Frozen');
    // As an agent that has restarted in between does.
    await containers.freeze(of);
    await writeFile(join(of.bundle, 'sealift-moving'), '');
    await new RestoredContainers(new Host({ root: '/' })).thaw(of);
    await expect.poll(count).toBeGreaterThan(before);
    expect(await containers.state(of)).toBe('Thawed');
    expect(existsSync(join(of.bundle, 'sealift-moving'))).toBe(false);
    await containers.thaw(of);
  });

  it('is killed where it stands, and then has ended', async () => {
    await containers.killFrozen(of);
    expect(await containers.state(of)).toBe('Thawed');
    await containers.freeze(of);
    const before = await count();
    await containers.killFrozen(of);
    await expect.poll(() => containers.state(of)).toBe('Ended');
    expect(await count()).toBe(before);
    await containers.thaw(of);
  });
});

describe('a container without a cgroup', () => {
  it('cannot be frozen, and has ended', async () => {
    const containers = new RestoredContainers(new Host({ root: '/nowhere' }));
    const of = { id: 'c1', bundle: '/run/c1' };
    await expect(containers.freeze(of)).rejects.toMatchObject({ code: 'RestoreFailed' });
    expect(await containers.state(of)).toBe('Ended');
    await containers.thaw(of);
    await containers.killFrozen(of);
  });
});
