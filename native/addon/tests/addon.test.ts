// SPDX-License-Identifier: Apache-2.0
// What the addon does without an RDMA device, on the real kernel: namespaces, nftables, frames on the wire,
// device nodes, and the code of each failure. tests/driver.ts is for the rest.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as addon from '../index.ts';

const built = existsSync(new URL('../../../build/native/sealift.node', import.meta.url));
const root = process.getuid?.() === 0;
const [a, b] = [`sla-a${process.pid}`, `sla-b${process.pid}`];
const path = (name: string) => `/var/run/netns/${name}`;
const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' }).toString();

function namespaces(): boolean {
  try {
    ip('netns', 'add', `${a}p`);
    ip('netns', 'del', `${a}p`);
    return true;
  } catch {
    return false;
  }
}

async function code(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'no error';
  } catch (error) {
    return error instanceof addon.NativeError ? error.code : String(error);
  }
}

describe.runIf(built && root && namespaces())('in network namespaces', () => {
  beforeAll(() => {
    for (const ns of [a, b]) ip('netns', 'add', ns);
    ip('link', 'add', 'v0', 'netns', a, 'type', 'veth', 'peer', 'name', 'v0', 'netns', b);
    ip('-n', a, 'link', 'set', 'v0', 'address', '02:00:00:00:00:0a', 'up');
    ip('-n', b, 'link', 'set', 'v0', 'up');
    ip('-n', a, 'addr', 'add', '10.9.7.1/24', 'dev', 'v0');
    ip('-n', a, 'addr', 'add', 'fd97::1/64', 'dev', 'v0', 'nodad');
    ip('-n', b, 'addr', 'add', '10.9.7.2/24', 'dev', 'v0');
    ip('-n', b, 'addr', 'add', 'fd97::2/64', 'dev', 'v0', 'nodad');
  });
  afterAll(() => {
    for (const ns of [a, b]) ip('netns', 'del', ns);
  });

  it('reads an interface of that namespace', async () => {
    const info = await addon.interfaceInfo(path(a), 'v0');
    expect([info.mac, info.up, info.carrier, info.mtu]).toEqual([
      '02:00:00:00:00:0a',
      true,
      true,
      1500,
    ]);
    const addresses = info.addresses.map((one) => `${one.address}/${one.prefix}`);
    expect(addresses).toEqual(expect.arrayContaining(['10.9.7.1/24', 'fd97::1/64']));
  });

  it('names what is missing', async () => {
    expect(await code(addon.interfaceInfo(path(a), 'nope'))).toBe('NoSuchInterface');
    expect(await code(addon.interfaceInfo('/var/run/netns/nope', 'v0'))).toBe('ENOENT');
    expect(await code(addon.interfaceInfo('/dev/null', 'v0'))).toBe('EINVAL');
    expect(await code(addon.interfaceInfo('relative', 'v0'))).toBe('BadArgument');
    expect(await code(addon.interfaceInfo(path(a), 'x'.repeat(16)))).toBe('BadArgument');
    expect(await code(addon.interfaceInfo(path(a), ''))).toBe('BadArgument');
  });

  it('runs nft there, all of a transaction or nothing', async () => {
    const list = () => addon.nft(path(a), 'list tables');
    expect(await list()).toBe('');
    await addon.nft(path(a), 'add table inet one\nadd table arp two');
    expect(await list()).toContain('table inet one');
    const torn = addon.nft(path(a), 'add table inet three\nadd rule inet nowhere x accept');
    expect(await code(torn)).toBe('NftFailed');
    expect(await list()).not.toContain('three');
    const json = JSON.parse(await addon.nft(path(a), 'list tables', { json: true })) as {
      nftables: unknown[];
    };
    expect(json.nftables.length).toBeGreaterThan(1);
    expect(await addon.nft(path(b), 'list tables')).toBe('');
    await addon.nft(path(a), 'flush ruleset');
  });

  it('announces IPv4 and IPv6 addresses, so that a neighbour learns a new MAC', async () => {
    const neighbour = (address: string) => ip('-n', b, 'neigh', 'show', address, 'dev', 'v0');
    for (const address of ['10.9.7.1', 'fd97::1']) {
      ip(
        '-n',
        b,
        'neigh',
        'replace',
        address,
        'lladdr',
        '02:00:00:00:00:ff',
        'nud',
        'stale',
        'dev',
        'v0',
      );
    }
    const sent = await addon.announce({ netns: path(a), ifname: 'v0', count: 2, intervalMs: 5 });
    // Two ARP frames for the IPv4 address, one advertisement for each IPv6 one, link-local included; twice.
    expect(sent).toBeGreaterThanOrEqual(2 * 3);
    await expect.poll(() => neighbour('10.9.7.1')).toContain('02:00:00:00:00:0a');
    await expect.poll(() => neighbour('fd97::1')).toContain('02:00:00:00:00:0a');
    expect(await code(addon.announce({ netns: path(a), ifname: 'nope', count: 1 }))).toBe(
      'NoSuchInterface',
    );
    expect(await code(addon.announce({ netns: path(a), ifname: 'v0', count: 101 }))).toBe(
      'BadArgument',
    );
  });

  it('ends TCP connections that a killed process has left, and no others', async () => {
    const server = [
      'import socket, sys',
      'server = socket.create_server(("10.9.7.2", 4000)); print("ready", flush=True)',
      'kept = [server.accept()[0] for _ in range(2)]; sys.stdin.read()',
    ];
    const client = [
      'import socket, sys',
      'one = socket.create_connection(("10.9.7.2", 4000), source_address=("10.9.7.1", int(sys.argv[1])))',
      'print("connected", flush=True); sys.stdin.readline(); one.send(b"x"); sys.stdin.readline()',
    ];
    const python = (ns: string, lines: string[], ...args: string[]) =>
      spawn('ip', ['netns', 'exec', ns, 'python3', '-c', lines.join('\n'), ...args]);
    const listening = python(b, server);
    await once(listening.stdout, 'data');
    const [dying, living] = [python(a, client, '4001'), python(a, client, '4002')];
    try {
      await Promise.all([once(dying.stdout, 'data'), once(living.stdout, 'data')]);
      const drop = 'chain output { type filter hook output priority 0; drop; }';
      await addon.nft(path(a), `table inet lock { ${drop}; }\n`);
      expect(await addon.endTcpOrphans(path(a))).toBe(0);
      dying.kill('SIGKILL');
      await once(dying, 'close');
      const refused = python(a, client, '4001');
      expect(String((await once(refused.stderr, 'data'))[0])).toContain('Traceback');
      expect(await addon.endTcpOrphans(path(a))).toBe(1);
      expect(await addon.endTcpOrphans(path(a))).toBe(0);
      await addon.nft(path(a), 'flush ruleset');
      living.stdin.end('\n\n');
      expect(await once(living, 'close')).toEqual([0, null]);
      const again = python(a, client, '4001');
      expect(String((await once(again.stdout, 'data'))[0])).toContain('connected');
      again.stdin.end('\n\n');
    } finally {
      for (const child of [listening, dying, living]) child.kill('SIGKILL');
      await addon.nft(path(a), 'flush ruleset');
    }
    expect(await code(addon.endTcpOrphans('/var/run/netns/nope'))).toBe('ENOENT');
  });

  it('never leaves the namespace of the process', async () => {
    const own = () => execFileSync('readlink', ['/proc/self/ns/net']).toString();
    const before = own();
    await Promise.all(
      Array.from({ length: 20 }, (_, at) => addon.interfaceInfo(path(at % 2 ? a : b), 'v0')),
    );
    expect(own()).toBe(before);
  });
});

describe.runIf(built)('on the host', () => {
  const directory = mkdtempSync(join(tmpdir(), 'sealift-addon-'));
  afterAll(() => rmSync(directory, { recursive: true }));

  it("tells the kernel's release", () => {
    expect(addon.kernelRelease()).toBe(execFileSync('uname', ['-r']).toString().trim());
  });

  it('syncs a directory, and only that', async () => {
    writeFileSync(join(directory, 'file'), '');
    await addon.fsyncDir(directory);
    expect(await code(addon.fsyncDir(join(directory, 'file')))).toBe('ENOTDIR');
    expect(await code(addon.fsyncDir(join(directory, 'nope')))).toBe('ENOENT');
  });

  it('refuses what is no module', async () => {
    expect(await code(addon.finitModule(join(directory, 'nope.ko')))).toBe('ENOENT');
    expect(await code(addon.deleteModule(''))).toBe('BadArgument');
    expect(addon.moduleLoaded('no-such-module')).toBe(false);
  });

  it.runIf(root)('makes a device node that any user may open, and replaces another', async () => {
    const node = join(directory, 'null');
    await addon.makeCharDevice(node, 1, 5);
    await addon.makeCharDevice(node, 1, 3);
    await addon.makeCharDevice(node, 1, 3);
    const stat = statSync(node);
    expect([stat.isCharacterDevice(), stat.rdev, stat.mode & 0o777]).toEqual([true, 0x103, 0o666]);
    expect(await code(addon.makeCharDevice(node, 4096, 0))).toBe('BadArgument');
    chmodSync(node, 0o600);
    await addon.makeCharDevice(node, 1, 3);
    expect(statSync(node).mode & 0o777, 'an agent died before it had opened it up').toBe(0o666);
  });

  it.runIf(root)('makes the same device node for several at once', async () => {
    const folder = mkdtempSync(join(directory, 'nodes-'));
    const node = join(folder, 'null');
    for (let round = 0; round < 200; round++) {
      const minor = round % 2 === 0 ? 3 : 5;
      await Promise.all([1, 2, 3, 4].map(() => addon.makeCharDevice(node, 1, minor)));
      expect(statSync(node).rdev).toBe(0x100 + minor);
    }
    expect(readdirSync(folder)).toEqual(['null']);
  });

  it.runIf(root)('counts the System V IPC objects of a namespace, and of no other', async () => {
    const make = 'ipcmk -M 4096 && ipcmk -S 2 && ipcmk -Q && ipcmk -Q && echo made && read end';
    const child = spawn('unshare', ['--ipc', 'sh', '-c', make]);
    try {
      await new Promise<void>((resolve, reject) => {
        child.stdout.on('data', (text) => String(text).includes('made') && resolve());
        child.on('close', () => reject(new Error('ipcmk failed')));
      });
      const counted = await addon.sysvipc(`/proc/${child.pid}/ns/ipc`);
      expect(counted).toEqual({ shm: 1, sem: 1, msg: 2 });
      const empty = spawn('unshare', ['--ipc', 'sh', '-c', 'echo made; read end']);
      await new Promise((resolve) => empty.stdout.once('data', resolve));
      expect(await addon.sysvipc(`/proc/${empty.pid}/ns/ipc`)).toEqual({ shm: 0, sem: 0, msg: 0 });
      empty.stdin.end();
    } finally {
      child.stdin.end();
    }
    expect(await code(addon.sysvipc('/proc/0/ns/ipc'))).toBe('ENOENT');
  });

  it.runIf(root)('names sockets that CRIU cannot dump', async () => {
    const lines = [
      'import socket, sys',
      'tcp = socket.create_server(("127.0.0.1", 0)); udp = socket.socket(type=socket.SOCK_DGRAM)',
      'pair = socket.socketpair()',
      'mptcp = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 262); mptcp.bind(("::1", 0)); mptcp.listen(1)',
      'print(mptcp.fileno(), mptcp.getsockname()[1], flush=True); sys.stdin.readline()',
    ];
    const child = spawn('python3', ['-c', lines.join('\n')]);
    try {
      const [fd, port] = String((await once(child.stdout, 'data'))[0])
        .trim()
        .split(' ')
        .map(Number);
      expect(await addon.undumpableSockets(child.pid ?? 0)).toEqual([
        { fd, family: 10, protocol: 262, listens: true, port },
      ]);
    } finally {
      child.kill();
    }
    expect(await addon.undumpableSockets(2 ** 31 - 1)).toEqual([]);
  });

  it.runIf(root)(
    'names sockets that would lose their keys, their TLS or their filter',
    async () => {
      const lines = [
        'import ctypes, json, socket, struct, sys',
        'key = lambda: struct.pack("=HH4s120xBBHi80s", 2, 0, socket.inet_aton("127.0.0.2"), 0, 0, 3, 0, b"abc")',
        'def plain(): return socket.create_server(("127.0.0.1", 0))',
        'kept = [plain()]; found = []',
        'six = socket.create_server(("::1", 0), family=socket.AF_INET6)',
        'address = struct.pack("=HHI16sI100xBBHi80s", 10, 0, 0, socket.inet_pton(10, "::2"), 0, 0, 0, 3, 0, b"abc")',
        'for s, one in ((plain(), key()), (six, address)):',
        '  s.setsockopt(6, 14, one); kept.append(s); found.append(["md5", s.fileno()])',
        // "exit 0" of eBPF: mov r0, 0; exit
        'code = ctypes.create_string_buffer(struct.pack("<QQ", 0xb7, 0x95)); gpl = ctypes.create_string_buffer(b"GPL")',
        'attr = ctypes.create_string_buffer(struct.pack("=IIQQ", 1, 2, ctypes.addressof(code), ctypes.addressof(gpl)), 128)',
        'program = ctypes.CDLL(None, use_errno=True).syscall(321, 5, attr, 128)',
        'a, b = socket.socketpair(); a.setsockopt(1, 50, program); found.append(["bpf", a.fileno()])',
        // A classic filter travels.
        'ret = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 65535))',
        'b.setsockopt(1, 26, struct.pack("@HP", 1, ctypes.addressof(ret)))',
        // What not every kernel has: TLS (a module), TCP-AO (6.7).
        'c = socket.create_connection(kept[0].getsockname()); d, _ = kept[0].accept()',
        'def tries(name, s, *option):',
        '  try: s.setsockopt(6, *option); kept.append(s); found.append([name, s.fileno()])',
        '  except OSError as e: print("without", name, e, file=sys.stderr)',
        'tries("tls", c, 31, b"tls")',
        'tries("ao", plain(), 38, struct.pack("=HH4s120x64siIHBBBBBB80s", 2, 0, socket.inet_aton("127.0.0.2"), b"hmac(sha1)", 0, 0, 0, 32, 1, 1, 0, 0, 3, b"abc"))',
        'print(json.dumps(found), flush=True); sys.stdin.readline()',
      ];
      const child = spawn('python3', ['-c', lines.join('\n')]);
      child.stderr.pipe(process.stderr);
      try {
        const wanted = JSON.parse(String((await once(child.stdout, 'data'))[0])) as [
          string,
          number,
        ][];
        expect(wanted.map(([has]) => has)).toEqual(expect.arrayContaining(['md5', 'bpf']));
        const found = await addon.undumpableSockets(child.pid ?? 0);
        const names = found.map(({ has, layer, fd }) => [layer ?? has, fd] as [string, number]);
        const sorted = (list: [string, number][]) => list.toSorted(([, x], [, y]) => x - y);
        expect(sorted(names)).toEqual(sorted(wanted));
        expect(found.filter(({ listens }) => listens).every(({ port }) => port > 0)).toBe(true);
      } finally {
        child.kill();
      }
    },
  );

  it.runIf(root)('lists Unix sockets with their peers, names and waiting clients', async () => {
    const name = `sealift-${process.pid}`;
    const lines = [
      'import os, socket, sys',
      `l = socket.socket(socket.AF_UNIX); l.bind("\\0${name}"); l.listen(1)`,
      `c = socket.socket(socket.AF_UNIX); c.connect("\\0${name}"); a, b = socket.socketpair()`,
      'print(*(os.fstat(s.fileno()).st_ino for s in (l, c, a, b)), flush=True); sys.stdin.readline()',
    ];
    const child = spawn('python3', ['-c', lines.join('\n')]);
    try {
      const [l = 0, c = 0, a = 0, b = 0] = String((await once(child.stdout, 'data'))[0])
        .trim()
        .split(' ')
        .map(Number);
      const sockets = await addon.unixSockets('/proc/self/ns/net');
      const of = (inode: number) => sockets.find((one) => one.inode === inode);
      expect(of(l)).toEqual({ inode: l, name: Buffer.from(`\0${name}`), waiting: [c] });
      expect([of(c)?.peer, of(c)?.name]).toEqual([undefined, undefined]);
      expect([of(a)?.peer, of(b)?.peer]).toEqual([b, a]);
    } finally {
      child.kill();
    }
  });

  it.runIf(root)('takes TCP sockets out of repair mode, and nothing else', async () => {
    const lines = [
      'import socket, sys',
      'server = socket.create_server(("127.0.0.1", 0)); udp = socket.socket(type=socket.SOCK_DGRAM)',
      'client = socket.create_connection(server.getsockname()); other, _ = server.accept()',
      'client.setsockopt(socket.IPPROTO_TCP, 19, 1)',
      'tried = lambda: (client.send(b"x"), other.recv(1))',
      'try: tried()',
      'except OSError as error: print(error.strerror, flush=True)',
      'sys.stdin.readline(); print(tried()[1], flush=True)',
    ];
    const child = spawn('python3', ['-c', lines.join('\n')]);
    const said = async () => String((await once(child.stdout, 'data'))[0]).trim();
    try {
      expect(await said()).toBe('Invalid argument');
      const pid = child.pid ?? 0;
      expect([await addon.endTcpRepair(pid), await addon.endTcpRepair(pid)]).toEqual([1, 0]);
      child.stdin.write('\n');
      expect(await said()).toBe("b'x'");
    } finally {
      child.kill();
    }
    expect(await addon.endTcpRepair(2 ** 31 - 1)).toBe(0);
    expect(await code(addon.endTcpRepair(-1))).toBe('BadArgument');
  });
});
