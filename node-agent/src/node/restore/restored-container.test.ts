// SPDX-License-Identifier: Apache-2.0
// Restored containers in the kernel's own freezer: as root, where cgroup v2 is mounted and processes can be put into a
// cgroup. The tasks are those of a PID namespace; a process beside them stands for CRIU.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { mkdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Host } from '../host/host.ts';
import { RestoredContainers } from './restored-container.ts';

const built = existsSync(new URL('../../../../build/native/sealift.node', import.meta.url));
const ID = `sealift-test-${process.pid}`;
/** The host's root, with the kernel's cgroups at their usual place. */
const root = mkdtempSync(join(tmpdir(), 'sealift-restored-'));
const cgroups = join(root, 'sys/fs/cgroup');
const own = join(cgroups, ID);

function isMounted(): boolean {
  mkdirSync(cgroups, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'cgroup2', 'none', cgroups], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
const mounted = isMounted();
afterAll(() => {
  if (mounted) execFileSync('umount', [cgroups]);
  rmSync(root, { recursive: true });
});

describe.skipIf(!mounted)('a restored container', () => {
  let containers: RestoredContainers;
  let of: { id: string; bundle: string };
  const bundle = join(root, 'bundle');
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
  const count = async () => (await readFile(join(root, 'count'), 'utf8').catch(() => '')).length;

  beforeEach(async () => {
    await rm(join(root, 'count'), { force: true });
    await mkdir(own);
    await mkdir(bundle);
    of = { id: ID, bundle: '/bundle' };
    containers = new RestoredContainers(new Host({ root }));
    // Its init writes on and on.
    const loop = `while :; do printf x >> ${join(root, 'count')}; sleep 0.02; done`;
    await start('sh', '-c', `sleep 0.3; exec unshare --pid --fork --kill-child sh -c '${loop}'`);
    await expect.poll(count).toBeGreaterThan(0);
  });
  afterEach(async () => {
    await writeFile(join(own, 'cgroup.kill'), '1').catch(() => undefined);
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await expect
      .poll(async () => readFile(join(own, 'cgroup.events'), 'utf8'))
      .toMatch(/populated 0/);
    await rmdir(own);
    await rmdir(join(cgroups, 'sealift/past-gate')).catch(() => undefined);
    await rm(bundle, { recursive: true });
  });

  it.runIf(built)(
    'finds its connections reset when it is thawed, and not before it is frozen',
    async () => {
      const said = join(root, 'said');
      const lines = [
        'import socket',
        'server = socket.create_server(("127.0.0.1", 0)); client = socket.create_connection(server.getsockname())',
        'one, _ = server.accept()',
        `say = lambda text: open(${JSON.stringify(said)}, "a").write(text + "\\n")`,
        'say("ready")',
        'try: say(str(one.recv(9)))',
        'except OSError as error: say(type(error).__name__)',
      ];
      const heard = async () => readFile(said, 'utf8').catch(() => '');
      await start(
        'sh',
        '-c',
        `sleep 0.3; exec unshare --pid --fork --kill-child python3 -c '${lines.join('\n')}'`,
      );
      await expect.poll(heard, { timeout: 10_000 }).toBe('ready\n');
      await sleep(100);
      await containers.resetConnections(of, ['127.0.0.1']);
      await containers.freeze(of);
      await containers.resetConnections(of, ['127.0.0.2']);
      await sleep(100);
      expect(await heard()).toBe('ready\n');
      await containers.resetConnections(of, ['127.0.0.1']);
      await sleep(100);
      expect(await heard(), 'it stands still').toBe('ready\n');
      await containers.thaw(of);
      // It waited in recv() when it was frozen: the kernel makes that call again.
      await expect.poll(heard, { timeout: 5000 }).toBe('ready\nConnectionResetError\n');
      await rm(said);
    },
  );

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
    await writeFile(join(bundle, 'sealift-started'), '');
    expect(await containers.state(of)).toBe('Frozen');
    // As an agent that has restarted in between does.
    await containers.freeze(of);
    await writeFile(join(bundle, 'sealift-moving'), '');
    await new RestoredContainers(new Host({ root })).thaw(of);
    await expect.poll(count).toBeGreaterThan(before);
    expect(await containers.state(of)).toBe('Thawed');
    expect(existsSync(join(bundle, 'sealift-moving'))).toBe(false);
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
