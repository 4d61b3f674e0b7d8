// SPDX-License-Identifier: Apache-2.0
// Real processes, each in a container of its own as far as the check knows. Unix sockets are looked up in this test's network
// namespace.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { unixSockets } from '../../../../native/addon/index.ts';
import type { AgentError } from '../../support/errors.ts';
import { Host } from '../host/host.ts';
import { ContainerLinks, type ContainerLinksParts } from './container-links.ts';

let dir: string;
let children: ChildProcess[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-links-'));
  children = [];
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await rm(dir, { recursive: true });
});

const given = [
  'import ctypes, os, socket, sys, time; libc = ctypes.CDLL("libc.so.6"); libc.mmap.restype = ctypes.c_void_p',
  'os.closerange(3, 256)',
  'def mapped(fd):',
  '  assert libc.mmap(None, ctypes.c_size_t(4096), 3, 1, fd, ctypes.c_long(0)) != 2**64 - 1; os.close(fd)',
  'def bound(kind=1):',
  '  s = socket.socket(1, kind); s.bind("socket")',
  '  if kind == 1: s.listen(5)',
  '  return s',
  'def connected(kind=1):',
  '  s = socket.socket(1, kind)',
  '  while s.connect_ex("socket"): time.sleep(.01)',
  '  return s',
  'def give(fd):',
  '  l = bound(); s, _ = l.accept(); socket.send_fds(s, [b"x"], [fd]); s.recv(1); s.close(); l.close()',
  'def taken():',
  '  s = connected(); fd = socket.recv_fds(s, 1, 1)[1][0]; s.send(b"x"); s.close(); return fd',
];

/** A process that has nothing in common with this one. */
async function run(name: string, program: string, prefix: readonly string[] = []): Promise<number> {
  const ready = join(dir, `${name}.ready`);
  const lines = [...given, `os.chdir(${JSON.stringify(dir)})`, program];
  const text = [...lines, `os.mkdir(${JSON.stringify(ready)})`, 'time.sleep(1000)'].join('\n');
  const [command = '', ...args] = [...prefix, 'python3', '-c', text];
  const child = spawn(command, args, { stdio: 'ignore' });
  children.push(child);
  await vi.waitFor(() => stat(ready), { timeout: 15_000, interval: 20 });
  return child.pid ?? 0;
}

/** Its containers are called a, b and so on. */
async function containers(
  ...programs: readonly string[]
): Promise<{ name: string; cgroup: string }[]> {
  const made = programs.map(async (program, nth) => {
    const name = 'abc'[nth] ?? '?';
    await mkdir(join(dir, name));
    await writeFile(join(dir, name, 'cgroup.procs'), `${await run(name, program)}\n`);
    return { name, cgroup: `/${name}` };
  });
  return Promise.all(made);
}

async function found(
  looked: readonly { name: string; cgroup: string }[],
  parts: ContainerLinksParts = {},
): Promise<string[]> {
  const links = new ContainerLinks(new Host({ root: dir }), { betweenMs: 10, ...parts });
  const all: AgentError[] = [];
  for await (const one of links.findings('/proc/self/ns/net', looked)) all.push(one);
  expect(all.every(({ code }) => code === 'UnsupportedObject')).toBe(true);
  return all.map(({ message }) => message);
}

const both =
  /^Process \d+ \(python3\) in container [ab] and process \d+ \(python3\) in container [ab] /;

// Where the machine has many processes, a look at all of them takes seconds.
const timeout = 60_000;

describe.runIf(process.getuid?.() === 0)('what two containers have in common', { timeout }, () => {
  it.each([
    [
      'nothing',
      'a = bound(2); p = os.pipe(); m = os.memfd_create("m"); os.mkfifo("f1"); f = os.open("f1", 2)',
      'p = os.pipe(); m = os.memfd_create("m"); b = socket.socketpair()',
    ],
    ['a listener', 'a = bound()', 'b = socket.socket(1)'],
    [
      'a file that has its name',
      'f = open("f", "w+"); f.truncate(4096); mapped(os.dup(f.fileno()))',
      'f = open("f", "a+"); f.truncate(4096); mapped(os.dup(f.fileno()))',
    ],
    [
      'a connection by TCP',
      'l = socket.create_server(("127.0.0.1", 0)); open("port.tmp", "w").write(str(l.getsockname()[1])); os.rename("port.tmp", "port"); s = l.accept()',
      'while not os.path.exists("port"): time.sleep(.01)\ns = socket.create_connection(("127.0.0.1", int(open("port").read())))',
    ],
  ])('may be %s', async (_what, one, other) => {
    expect(await found(await containers(one, other))).toEqual([]);
  });

  it.each([
    [
      'a connection of Unix sockets',
      'l = bound(); s = l.accept()',
      'c = connected()',
      / are connected by a Unix socket at socket, .*127\.0\.0\.1/,
    ],
    [
      'a connection that is not accepted yet',
      'l = bound()',
      'c = connected()',
      / are connected by a Unix socket at socket, /,
    ],
    [
      'an address for datagrams',
      'l = bound(2)',
      'c = connected(2)',
      / are connected by a Unix socket/,
    ],
    [
      'an abstract address',
      'l = socket.socket(1); l.bind("\\0sealift-" + os.getcwd()); l.listen(); s = l.accept()',
      'c = socket.socket(1)\nwhile c.connect_ex("\\0sealift-" + os.getcwd()): time.sleep(.01)',
      / at @sealift-/,
    ],
    [
      'a pair of sockets',
      'a, b = socket.socketpair(); give(b.fileno()); b.close()',
      'f = taken()',
      / are connected by a Unix socket, /,
    ],
    [
      'one socket',
      'l = socket.create_server(("127.0.0.1", 0)); give(l.fileno())',
      'f = taken()',
      / have a socket in common, which cannot be moved: each would have its own/,
    ],
    ['a pipe', 'r, w = os.pipe(); give(r); os.close(r)', 'f = taken()', / have a pipe in common/],
    ['an eventfd', 'f = os.eventfd(0); give(f)', 'f = taken()', / have an eventfd in common/],
    [
      'a named pipe',
      'os.mkfifo("f"); f = os.open("f", 2)',
      'while not os.path.exists("f"): time.sleep(.01)\nf = os.open("f", 2)',
      / have the named pipe .*f in common/,
    ],
    [
      'memory of memfd_create, mapped by both',
      'f = os.memfd_create("m"); os.truncate(f, 4096); give(f); mapped(f)',
      'mapped(taken())',
      / have the file \/memfd:m \(deleted\) in common/,
    ],
    [
      'a deleted file, open here and mapped there',
      'f = os.open("f", os.O_RDWR | os.O_CREAT); os.unlink("f"); os.truncate(f, 4096); give(f)',
      'mapped(taken())',
      / have the file .*f \(deleted\) in common/,
    ],
  ])('may not be %s', async (_what, one, other, text) => {
    const messages = await found(await containers(one, other));
    expect(messages).toEqual([expect.stringMatching(text)]);
    expect(messages).toEqual([expect.stringMatching(both)]);
  });

  it('may be anything in one container', async () => {
    const [one, other] = await containers('r, w = os.pipe(); give(r)', 'f = taken()');
    const [a, b] = children.map(({ pid }) => pid);
    await writeFile(join(dir, 'a', 'cgroup.procs'), `${a}\n${b}\n`);
    await writeFile(join(dir, 'b', 'cgroup.procs'), '');
    expect(await found([one, other].filter((each) => each !== undefined))).toEqual([]);
  });

  it('may not be a connection of Unix sockets to what is outside of the pod, also of one container', async () => {
    const outside = run('outside', 'l = bound(); s = l.accept()', ['unshare', '--net']);
    const one = await containers('c = connected()');
    await outside;
    expect(await found(one)).toEqual([
      expect.stringMatching(
        /^Process \d+ \(python3\) in container a is connected by a Unix socket to a process outside/,
      ),
    ]);
  });

  it('may be a connection that lasts for a moment', async () => {
    const looked = await containers(
      'l = bound()\nimport threading\ndef serve():\n  while True: l.accept()[0].close()\nthreading.Thread(target=serve, daemon=True).start()',
      'import threading\ndef ask():\n  while True: s = connected(); s.recv(1); s.close(); time.sleep(.001)\nthreading.Thread(target=ask, daemon=True).start()',
    );
    expect(await found(looked)).toEqual([]);
  });

  describe('if it changes between the lists', () => {
    /** Its connections last until the next one is wanted; both sides then wait for the file `accept`. */
    const server = [
      'l = bound(); s = None; n = 0',
      'while True:',
      '  while not os.path.exists("accept"): time.sleep(.002)',
      '  os.remove("accept"); s, _ = l.accept(); n += 1; os.mkdir("accepted%d" % n)',
      '  while not os.path.exists("close"): time.sleep(.002)',
      '  os.remove("close"); s.close()',
    ];
    /** Connects again and again; each connection lasts for these lines. */
    const clientWith = (kind: number, ...lines: string[]): string => {
      const connects = `c = connected(${kind}); n += 1; os.mkdir("asks%d" % n)`;
      const body = [connects, ...lines, 'c.close()'].map((line) => `  ${line}`);
      return ['n = 0', 'while True:', ...body].join('\n');
    };
    const client = clientWith(1, 'c.recv(1)');
    /** Until the client has its connection of that number, which waits in the server's queue. */
    const clientAsks = (nth = 1) =>
      vi.waitFor(() => stat(join(dir, `asks${nth}`)), { timeout: 15_000, interval: 2 });
    const inBackground = (program: string) =>
      [
        'import threading, textwrap',
        `def work():\n${program.replaceAll(/^/gm, '  ')}`,
        'threading.Thread(target=work, daemon=True).start()',
      ].join('\n');

    /** Sockets of a look in which the server has accepted since its descriptors were read. It closes after the look. */
    const accepting = (): { looks: () => number; parts: ContainerLinksParts } => {
      let looks = 0;
      const sockets = async (netns: string) => {
        await writeFile(join(dir, 'accept'), '');
        const nth = ++looks;
        await vi.waitFor(() => stat(join(dir, `accepted${nth}`)), { timeout: 15_000, interval: 2 });
        return unixSockets(netns);
      };
      const sleep = async () => {
        await writeFile(join(dir, 'close'), '');
        await clientAsks(looks + 1);
      };
      return { looks: () => looks, parts: { sockets, sleep } };
    };
    it('may be a connection of one container that is accepted after its descriptors were read', async () => {
      const [one] = await containers(inBackground(server.join('\n')));
      const asks = await run('client', inBackground(client));
      await clientAsks();
      await writeFile(join(dir, 'a', 'cgroup.procs'), `${children[0]?.pid}\n${asks}\n`);
      const { looks, parts } = accepting();
      expect(await found(one ? [one] : [], parts)).toEqual([]);
      expect(looks()).toBe(1);
    });

    it('may be another short connection to what is outside of the pod in each look', async () => {
      await run('server', inBackground(server.join('\n')));
      const one = await containers(inBackground(client));
      await clientAsks();
      const { looks, parts } = accepting();
      expect(await found(one, parts)).toEqual([]);
      expect(looks()).toBeGreaterThan(1);
    });

    it('may be another short connection to another network namespace in each look', async () => {
      await run('server', 's = bound(2)', ['unshare', '--net']);
      const lasts = ['while not os.path.exists("next"): time.sleep(.002)', 'os.remove("next")'];
      const one = await containers(inBackground(clientWith(2, ...lasts)));
      await clientAsks();
      let looks = 1;
      const sleep = async () => {
        await writeFile(join(dir, 'next'), '');
        await clientAsks(++looks);
      };
      expect(await found(one, { sleep })).toEqual([]);
      expect(looks).toBeGreaterThan(1);
    });

    it('may not be one that stays', async () => {
      await run('server', 's = bound(2)', ['unshare', '--net']);
      expect(await found(await containers('c = connected(2)'))).toEqual([
        expect.stringMatching(/ in container a is connected by a Unix socket to a process outside/),
      ]);
    });

    it('may not be a connection that is accepted after the first look, and stays', async () => {
      const looked = await containers(inBackground(server.join('\n')), inBackground(client));
      await clientAsks();
      let looks = 0;
      const sockets = async (netns: string) => {
        const now = await unixSockets(netns);
        if (++looks === 1) {
          await writeFile(join(dir, 'accept'), '');
          await vi.waitFor(() => stat(join(dir, 'accepted1')), { timeout: 15_000, interval: 2 });
        }
        return now;
      };
      expect(await found(looked, { sockets })).toEqual([expect.stringMatching(both)]);
    });

    it('may not be a connection that stays, with many short ones beside it', async () => {
      const server = 'l = bound()\nkept, _ = l.accept()';
      const serve = 'while True: l.accept()[0].close()';
      const looked = await containers(
        `${server}\n${inBackground(serve)}`,
        `kept = connected()\n${inBackground('while True: c = connected(); c.recv(1); c.close(); time.sleep(.001)')}`,
      );
      expect(await found(looked)).toEqual([expect.stringMatching(both)]);
    });
  });
});
