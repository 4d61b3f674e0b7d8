// SPDX-License-Identifier: Apache-2.0
// TCP sockets in a network namespace, on the real kernel: those that end or cannot be ended in the middle of the work, and closed
// ones that a task still has.
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { closedTcpOf, endTcpAt, nft, resetTcpOf } from '../index.ts';

const works = (program: string, ...args: string[]): boolean => {
  try {
    execFileSync(program, args, { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
};
const built = existsSync(new URL('../../../build/native/sealift.node', import.meta.url));
const isReady =
  built && process.getuid?.() === 0 && works('cc', '--version') && works('ip', 'netns');
const ADDON = new URL('../index.ts', import.meta.url).href;
const ns = `sla-t${process.pid}`;
const netns = `/var/run/netns/${ns}`;

/** Makes the kernel find another connection in the place of one (a wrong cookie), and refuse to end a second one. */
const MEANWHILE = `
#include <dlfcn.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <arpa/inet.h>
static int is(const char *name, unsigned short port) { return getenv(name) && atoi(getenv(name)) == ntohs(port); }
ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length) {
  ssize_t (*next)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "sendto");
  struct nlmsghdr *header = (struct nlmsghdr *)data;
  if (size >= sizeof(*header) + sizeof(struct inet_diag_req_v2) && header->nlmsg_type == SOCK_DESTROY) {
    struct inet_diag_req_v2 *request = NLMSG_DATA(header);
    if (is("OTHER", request->id.idiag_sport)) request->id.idiag_cookie[0] ^= 1;
    if (is("REFUSED", request->id.idiag_sport)) header->nlmsg_type = SOCK_DESTROY + 9;
  }
  return next(fd, data, size, flags, to, length);
}
`;

let dir: string;
let child: ChildProcess | undefined;
beforeEach(() => {
  if (!isReady) return;
  dir = mkdtempSync(join(tmpdir(), 'sealift-tcp-'));
  execFileSync('ip', ['netns', 'add', ns]);
  execFileSync('ip', ['-n', ns, 'link', 'set', 'lo', 'up']);
  for (const one of [
    '10.7.7.1/32',
    '10.7.7.2/32',
    '10.7.7.5/32',
    '10.7.7.9/32',
    'fd77::1/128',
    'fd77::2/128',
  ])
    execFileSync('ip', ['-n', ns, 'addr', 'add', one, 'dev', 'lo']);
});
afterEach(() => {
  if (!isReady) return;
  child?.kill('SIGKILL');
  execFileSync('ip', ['netns', 'del', ns]);
  rmSync(dir, { recursive: true });
});

/** Runs it in the namespace until it is killed. */
async function run(...lines: string[]): Promise<number> {
  const text = ['import socket as s, struct, sys, time', ...lines];
  text.push('print("ready", flush=True); time.sleep(600)');
  child = spawn('nsenter', [`--net=${netns}`, 'python3', '-c', text.join('\n')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout ?? child, 'data');
  return child.pid ?? 0;
}
const established = (): string[] =>
  execFileSync('nsenter', [`--net=${netns}`, 'cat', '/proc/net/tcp'])
    .toString()
    .split('\n')
    .flatMap((line) => /^\s*\d+: 0507070A:([0-9A-F]{4}) \S+ 01/.exec(line)?.[1] ?? [])
    .map((port) => String(parseInt(port, 16)))
    .sort();

describe.runIf(isReady)('connections that are ended', () => {
  const PORTS = ['7101', '7102', '7103', '7104', '7105'];
  const end = async (env: Record<string, string>): Promise<string> => {
    const [code, library] = [join(dir, 'meanwhile.c'), join(dir, 'meanwhile.so')];
    writeFileSync(code, MEANWHILE);
    execFileSync('cc', ['-D_GNU_SOURCE', '-shared', '-fPIC', '-o', library, code]);
    const script =
      `import { endTcpAt } from ${JSON.stringify(ADDON)};` +
      `endTcpAt(${JSON.stringify(netns)}, ['10.7.7.5']).then(console.log, (error) => console.log(error.code));`;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '-e', script],
      { env: { ...process.env, LD_PRELOAD: library, ...env } },
    );
    return stdout.trim();
  };
  beforeEach(async () => {
    await run(
      'l = s.create_server(("10.7.7.1", 0))',
      `held = [s.create_connection(l.getsockname(), source_address=("10.7.7.5", p)) for p in (${PORTS.join()})]`,
    );
  });

  it('are all ended though one has made room for another one meanwhile', async () => {
    expect(established()).toEqual(PORTS);
    expect(await end({ OTHER: '7103' })).toBe('4');
    expect(established()).toEqual(['7103']);
  });

  it('are all ended though the kernel refuses to end one; what it says comes afterwards', async () => {
    expect(await end({ OTHER: '7101', REFUSED: '7104' })).toBe('EINVAL');
    expect(established()).toEqual(['7101', '7104']);
    expect(await end({})).toBe('2');
    expect(established()).toEqual([]);
  });
});

describe.runIf(isReady)('a task', () => {
  it('has its connections reset as by a peer, and no others', async () => {
    const lines = [
      'import selectors, socket, sys',
      'server = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True); port = server.getsockname()[1]',
      'pairs = []',
      'for at in ("10.7.7.1", "10.7.7.1", "10.7.7.1", "10.7.7.2", "::1"):',
      '    client = socket.create_connection((at, port), source_address=("10.7.7.9" if "." in at else "::1", 0))',
      '    pairs.append((server.accept()[0], client))',
      // The first is read when it is asked for; the second has something to read, the third has been shut.
      'pairs[1][1].send(b"x"); pairs[2][1].shutdown(socket.SHUT_WR)',
      'waits = selectors.DefaultSelector(); waits.register(pairs[0][0], selectors.EVENT_READ)',
      'print(flush=True); sys.stdin.readline()',
      'def tried(call):',
      '    try: return call()',
      '    except OSError as error: return type(error).__name__',
      'print(len(waits.select(0)), flush=True)',
      'for one, other in pairs:',
      '    one.setblocking(False); other.setblocking(False)',
      '    print(*(tried(call) for call in (lambda: one.recv(9), lambda: one.recv(9), lambda: one.send(b"x"),',
      '      lambda: other.send(b"x"), lambda: other.recv(9))), flush=True)',
      'print("end", flush=True)',
    ];
    const enter = [`--net=${netns}`, 'python3', '-c', lines.join('\n')];
    const reader = (child = spawn('nsenter', enter));
    let said = '';
    reader.stdout.on('data', (text) => (said += String(text)));
    const until = async (text: string) => {
      for (let n = 0; n < 500 && !said.includes(text); n++) await sleep(20);
    };
    await until('\n');
    const pid = reader.pid ?? 0;
    // Sockets of IPv6 have it as ::ffff:10.7.7.1.
    expect(await resetTcpOf(pid, ['10.7.7.1', '10.1.2.3'])).toBe(3);
    expect(await resetTcpOf(pid, ['10.7.7.1'])).toBe(0);
    reader.stdin.write('\n');
    await until('end');
    const reset = "ConnectionResetError b'' BrokenPipeError ConnectionResetError b''";
    const ends = said.split('\n').slice(1, 7);
    expect(ends.slice(0, 4)).toEqual(['1', reset, reset, reset]);
    expect(ends.slice(4)).toEqual(Array(2).fill("BlockingIOError BlockingIOError 1 1 b'x'"));
    expect(await resetTcpOf(2 ** 31 - 1, ['10.7.7.1'])).toBe(0);
    await expect(resetTcpOf(1, ['nowhere'])).rejects.toMatchObject({ code: 'BadArgument' });
  });

  it('has both ends of one within the pod reset, and none of whoever has got the address', async () => {
    const pid = await run(
      'l = s.create_server(("10.7.7.1", 0)); at = l.getsockname(); other = s.create_server(("10.7.7.2", 0))',
      'near = s.create_connection(at, source_address=("127.0.0.1", 0)); far, _ = l.accept()',
      'six = s.socket(s.AF_INET6); six.bind(("::ffff:127.0.0.3", 0)); six.connect(("::ffff:10.7.7.1", at[1])); sixth, _ = l.accept()',
      // Once the pod has lost the address, it may be a peer's.
      'out = s.create_connection(at, source_address=("10.7.7.2", 0))',
      'kept = s.create_connection(other.getsockname(), source_address=("127.0.0.1", 0))',
    );
    // As under the lock: neither end hears of the other's reset.
    const drop = 'chain inet quiet out { type filter hook output priority 0; policy drop; }';
    await nft(netns, `add table inet quiet\nadd ${drop}\n`);
    expect(await resetTcpOf(pid, ['10.7.7.1'])).toBe(4);
    expect(await endTcpAt(netns, ['10.7.7.1']), 'what nobody has accepted').toBe(1);
  });
});

describe.runIf(isReady)('closed sockets', () => {
  it('are found by their address, wherever it has gone', async () => {
    const pid = await run(
      'l = s.create_server(("::", 0), family=s.AF_INET6, dualstack_ipv6=True); port = l.getsockname()[1]; held = []',
      'def reset(at, to):',
      '    one = s.create_connection((to, port), source_address=(at, 0)); other, _ = l.accept()',
      '    other.setsockopt(s.SOL_SOCKET, s.SO_LINGER, struct.pack("ii", 1, 0)); other.close(); held.append(one)',
      'for at in ("10.7.7.1", "10.7.7.1", "10.7.7.2"): reset(at, "127.0.0.1")',
      'for at in ("fd77::1", "fd77::2"): reset(at, "::1")',
      // Bound as an IPv6 socket; connected, listening, unbound and UDP ones.
      'six = s.socket(s.AF_INET6); six.bind(("::ffff:10.7.7.2", 0))',
      'near = s.create_connection(("127.0.0.1", port), source_address=("127.0.0.7", 0)); u = s.socket(s.AF_INET, s.SOCK_DGRAM)',
      'u.bind(("127.0.0.8", 0)); n = s.socket(); m = s.socket(); m.bind(("0.0.0.0", 0)); k = s.create_server(("127.0.0.9", 0))',
    );
    execFileSync('ip', ['-n', ns, 'addr', 'del', '10.7.7.1/32', 'dev', 'lo']);
    execFileSync('ip', ['-n', ns, 'addr', 'del', 'fd77::2/128', 'dev', 'lo']);
    expect(await closedTcpOf(netns, pid)).toEqual([
      { address: '10.7.7.1', isThere: false },
      { address: '10.7.7.2', isThere: true },
      { address: 'fd77::1', isThere: true },
      { address: 'fd77::2', isThere: false },
    ]);
    expect(await closedTcpOf(netns, 2 ** 31 - 1)).toEqual([]);
    await expect(closedTcpOf('/var/run/netns/nowhere', pid)).rejects.toMatchObject({
      code: 'ENOENT',
    });
  });
});
