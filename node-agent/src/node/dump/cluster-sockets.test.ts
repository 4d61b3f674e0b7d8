// SPDX-License-Identifier: Apache-2.0
// Real processes with real sockets; 127.0.0.1 and ::1 stand for the pod's cluster addresses.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Host } from '../host/host.ts';
import { ClusterSockets } from './cluster-sockets.ts';

let dir: string;
let child: ChildProcess | undefined;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-cluster-sockets-'));
  await mkdir(join(dir, 'cgroup'));
});
afterEach(async () => {
  child?.kill('SIGKILL');
  await rm(dir, { recursive: true });
});

async function run(...lines: string[]): Promise<void> {
  const text = ['import socket as s, sys, threading, time', ...lines];
  text.push('print("ready", flush=True); sys.stdin.readline()');
  child = spawn('python3', ['-c', text.join('\n')], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout ?? child, 'data');
  await writeFile(join(dir, 'cgroup', 'cgroup.procs'), `${child.pid}\n`);
}
const check = (...addresses: string[]): Promise<void> => {
  const container = { name: 'main', pid: child?.pid ?? 0, cgroup: '/cgroup' };
  const sockets = new ClusterSockets(new Host({ root: dir }), { betweenMs: 100 });
  return sockets.check([container], addresses);
};
const sockets = (): ClusterSockets =>
  new ClusterSockets(new Host({ root: dir }), { betweenMs: 100, closedTcp: async () => [] });
const container = () => ({ name: 'main', pid: child?.pid ?? 0, cgroup: '/cgroup' });
const refused = (text: RegExp) => ({
  code: 'UnsupportedObject',
  message: expect.stringMatching(text) as string,
});

describe('sockets at the cluster address', () => {
  it('are named when they listen there', async () => {
    await run('l = s.create_server(("127.0.0.1", 0))');
    await expect(check('10.88.1.7', '127.0.0.1')).rejects.toMatchObject(
      refused(
        /^Process \d+ \(python3[\d.]*\) in container main listens at 127\.0\.0\.1, port \d+:/,
      ),
    );
  });

  it('are named when they are connected from there, with what to do', async () => {
    await run(
      'l = s.create_server(("0.0.0.0", 0))',
      'c = s.create_connection(("127.0.0.1", l.getsockname()[1]))',
    );
    await expect(check('127.0.0.1')).rejects.toMatchObject(
      refused(/has a TCP socket at 127\.0\.0\.1, port \d+: .* Let it use an address of its RDMA/),
    );
    await expect(check('127.0.0.1')).rejects.toMatchObject(
      refused(
        /The pod would lose \d+ established connections? at it\. podIPConnections: Reset in a MigrationRequest/,
      ),
    );
  });

  it('are named when they are connected UDP sockets, as resolvers have them', async () => {
    await run('u = s.socket(s.AF_INET, s.SOCK_DGRAM); u.connect(("127.0.0.1", 53))');
    await expect(check('127.0.0.1')).rejects.toMatchObject(refused(/a UDP socket at 127\.0\.0\.1/));
  });

  it('are named in every spelling of an address', async () => {
    await run('a = "::1"', 'l = s.create_server((a, 0), family=s.AF_INET6)');
    await expect(check('0:0:0:0:0:0:0:1')).rejects.toMatchObject(refused(/listens at ::1, port/));
    child?.kill('SIGKILL');
    await run(
      'l = s.create_server(("::", 0), family=s.AF_INET6, dualstack_ipv6=True)',
      'at = ("127.0.0.1", l.getsockname()[1])',
      'c = s.create_connection(at, source_address=("127.0.0.2", 0)); p, _ = l.accept(); c.close()',
    );
    await expect(check('127.0.0.1')).rejects.toMatchObject(refused(/a TCP socket at 127\.0\.0\.1/));
  });

  it('do not matter elsewhere: on all addresses, on another one, unbound, or of another process', async () => {
    await run(
      'l = s.create_server(("0.0.0.0", 0)); t = s.socket()',
      'm = s.create_server(("127.0.0.2", 0))',
      'c = s.create_connection(m.getsockname(), source_address=("127.0.0.2", 0))',
    );
    await expect(check('127.0.0.1', '10.88.1.7')).resolves.toBeUndefined();
    await run('pass');
    await expect(check('127.0.0.1')).resolves.toBeUndefined();
  });

  it('are no reason to refuse the pod if connections may be reset, but for others', async () => {
    await run(
      'l = s.create_server(("0.0.0.0", 0)); at = ("127.0.0.1", l.getsockname()[1])',
      'c = s.create_connection(at); p, _ = l.accept(); q = s.create_connection(at)',
      // Half closed, and connected from another address.
      'q.shutdown(s.SHUT_WR); o = s.create_connection(at, source_address=("127.0.0.2", 0))',
    );
    const asked = [[container()], ['127.0.0.1']] as const;
    await expect(sockets().check(...asked, 'Reset')).resolves.toBeUndefined();
    // c, p, q and o, whose peer is there; the other ends of q and o are not accepted.
    expect(await sockets().lost(...asked)).toBe(4);
    expect(await sockets().lostOfFrozen(...asked, 'Reset')).toEqual({
      ...{ count: 4, lend: ['127.0.0.1'] },
    });
    await expect(sockets().lostOfFrozen(...asked, 'Refuse')).rejects.toMatchObject(
      refused(/a TCP socket at 127\.0\.0\.1/),
    );
    expect(await sockets().lost([container()], ['10.88.1.7'])).toBe(0);
    expect(await sockets().lost([container()], [])).toBe(0);
  });

  it.each([
    ['a listening one', 'l = s.create_server(("127.0.0.1", 0))', /listens at 127\.0\.0\.1/],
    [
      'a UDP socket',
      'u = s.socket(s.AF_INET, s.SOCK_DGRAM); u.connect(("127.0.0.1", 53))',
      /has a UDP socket at 127\.0\.0\.1/,
    ],
  ])(
    'of other kinds are refused though connections may be reset: %s',
    async (_name, line, text) => {
      await run(line);
      const asked = [[container()], ['127.0.0.1']] as const;
      await expect(sockets().check(...asked, 'Reset')).rejects.toMatchObject(refused(text));
      await expect(sockets().check(...asked)).rejects.not.toThrow(/podIPConnections/);
      await expect(sockets().lostOfFrozen(...asked, 'Reset')).rejects.toMatchObject(refused(text));
      expect(await sockets().lost(...asked)).toBe(0);
    },
  );

  it('are named at their near end if the far one is not accepted', async () => {
    await run(
      'l = s.create_server(("0.0.0.0", 0)); at = ("127.0.0.1", l.getsockname()[1])',
      'c = s.create_connection(at, source_address=("127.0.0.2", 0))',
    );
    await expect(check('127.0.0.1')).rejects.toMatchObject(
      refused(/has a TCP socket connected to 127\.0\.0\.1, port \d+: the pod's cluster address/),
    );
  });

  it('are lent with their address if they are closed, at one that the pod loses or has lost', async () => {
    await run('pass');
    const there = (address: string, isThere: boolean) => ({ address, isThere });
    const all = [
      ...[there('10.1.2.3', true), there('10.9.9.9', false)],
      ...[there('fd00::3', true), there('127.0.0.1', true)],
    ];
    const asked: [string, number][] = [];
    const of = (closed: typeof all) =>
      new ClusterSockets(new Host({ root: dir }), {
        closedTcp: async (netns, pid) => {
          asked.push([netns, pid]);
          return closed;
        },
      });
    const lose = async (addresses: string[], connections: 'Refuse' | 'Reset', closed = all) =>
      (await of(closed).lostOfFrozen([container()], addresses, connections)).lend;
    expect(await lose([], 'Refuse')).toEqual(['10.9.9.9']);
    expect(await lose(['10.1.2.3', 'fd00:0::3'], 'Refuse')).toEqual([
      ...['10.1.2.3', '10.9.9.9', 'fd00::3'],
    ]);
    expect(await lose(['10.1.2.3', '10.1.2.4'], 'Reset')).toEqual([
      ...['10.1.2.3', '10.9.9.9', '10.1.2.4'],
    ]);
    expect(await lose(['10.1.2.3'], 'Refuse', [])).toEqual([]);
    // One that is connected now, and may be closed when CRIU looks.
    expect(await lose(['10.1.2.3'], 'Reset', [])).toEqual(['10.1.2.3']);
    const pid = child?.pid ?? 0;
    expect(asked[0]).toEqual([`/proc/${pid}/ns/net`, pid]);
    const many = Array.from({ length: 17 }, (_, n) => there(`10.9.9.${n}`, false));
    await expect(lose([], 'Refuse', many)).rejects.toMatchObject(
      refused(/^Process \d+ \(python3[\d.]*\) in container main and others .* more than 16/),
    );
  });

  it('do not matter if they are gone in a moment, as a probe is', async () => {
    await run(
      'a = "127.0.0.1"',
      'l = s.create_server(("0.0.0.0", 0))',
      'c = s.create_connection((a, l.getsockname()[1])); p, _ = l.accept()',
      'threading.Timer(0.15, lambda: (p.close(), c.close())).start()',
    );
    await expect(check('127.0.0.1')).resolves.toBeUndefined();
  });

  it('do not matter without a cluster address, or in a pod that has ended', async () => {
    await run('l = s.create_server(("127.0.0.1", 0))');
    await expect(check()).resolves.toBeUndefined();
    child?.kill('SIGKILL');
    await once(child ?? process, 'exit');
    await expect(check('127.0.0.1')).resolves.toBeUndefined();
  });
});
