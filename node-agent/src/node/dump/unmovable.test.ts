// SPDX-License-Identifier: Apache-2.0
// Processes with files that CRIU cannot dump: of a made-up /proc where the kernel's answer is known, else real ones.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { UndumpableSocket } from '../../../../native/addon/index.ts';
import { Host } from '../host/host.ts';
import { UnmovableFiles } from './unmovable.ts';

let dir: string;
let proc: string;
let child: ChildProcess | undefined;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-unmovable-'));
  proc = join(dir, 'proc');
  await mkdir(join(proc, '42', 'fd'), { recursive: true });
  await mkdir(join(proc, '42', 'fdinfo'));
  await mkdir(join(dir, 'cgroup'));
  await writeFile(join(dir, 'cgroup', 'cgroup.procs'), '42\n');
  await writeFile(join(proc, '42', 'stat'), `42 (ap\tp) S 1 ${'0 '.repeat(17)}5 0\n`);
});
afterEach(async () => {
  child?.kill('SIGKILL');
  await rm(dir, { recursive: true });
});

const container = { name: 'main', pid: 42, cgroup: '/cgroup' };
const fake = (sockets: Parameters<typeof check>[1] = []) => check(proc, sockets);
const check = (directory: string, sockets: UndumpableSocket[] = []) =>
  new UnmovableFiles(new Host({ root: dir }), {
    proc: directory,
    sockets: async () => sockets,
    unshared: async () => [],
    betweenMs: 10,
  }).check([container]);
const refused = (text: RegExp) => ({
  code: 'UnsupportedObject',
  message: expect.stringMatching(text) as string,
});
const open = (link: string, info = '') =>
  Promise.all([
    symlink(link, join(proc, '42', 'fd', '3')),
    writeFile(join(proc, '42', 'fdinfo', '3'), info),
  ]);

/** A real process, in the container's cgroup as far as the check knows. */
async function run(lines: readonly string[], prefix: readonly string[] = []): Promise<void> {
  const text = [...lines, 'print("ready", flush=True); sys.stdin.readline()'].join('\n');
  const program = `import os, sys\nos.chdir(${JSON.stringify(dir)})\n${text}`;
  const [command = '', ...args] = [...prefix, 'python3', '-c', program];
  child = spawn(command, args);
  await once(child.stdout ?? child, 'data');
  await writeFile(join(dir, 'cgroup', 'cgroup.procs'), `${child.pid}\n`);
}

/** A program of i386 that does nothing: an ELF header, one segment, and pause(2) in a loop (elf(5)). */
function smallestProgram(): Buffer {
  const [address, headers] = [0x08048000, 52 + 32];
  const code = [0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7];
  const size = headers + code.length;
  const program = Buffer.alloc(size);
  program.write('\x7fELF\x01\x01\x01', 'latin1');
  [2, 3].forEach((half, nth) => program.writeUInt16LE(half, 16 + 2 * nth));
  [1, address + headers, 52, 0, 0].forEach((word, nth) =>
    program.writeUInt32LE(word, 20 + 4 * nth),
  );
  [52, 32, 1].forEach((half, nth) => program.writeUInt16LE(half, 40 + 2 * nth));
  const segment = [1, 0, address, address, size, size, 5, 0x1000];
  segment.forEach((word, nth) => program.writeUInt32LE(word, 52 + 4 * nth));
  program.set(code, headers);
  return program;
}

const root = process.getuid?.() === 0;

/** For Python: opens a node of /dev/loop0, a device that can be mapped. */
const openDisk = 'os.mknod("disk", 0o60600, os.makedev(7, 0)); f = os.open("disk", os.O_RDONLY)';
const at = ['import os, tempfile; os.chdir(tempfile.mkdtemp())', openDisk].join('\n');
/** Not where devices of file systems are not to be used. */
const hasDisk = root && spawnSync('python3', ['-c', at]).status === 0;

/** For Python: maps a file, and closes it. mmap.mmap would keep it open. */
const mapping = [
  'import ctypes; libc = ctypes.CDLL("libc.so.6"); libc.mmap.restype = ctypes.c_void_p',
  'size, long = ctypes.c_size_t, ctypes.c_long',
  'def mapped(fd, flags=1):',
  '  assert libc.mmap(None, size(4096), 3, flags, fd, long(0)) != 2**64 - 1; os.close(fd)',
];

/** For Python: mounts hugetlbfs, in a mount namespace of its own. */
const mountsHugePages = [
  'import ctypes; libc = ctypes.CDLL("libc.so.6", use_errno=True)',
  'os.makedirs("huge", exist_ok=True); assert libc.mount(b"none", b"huge", b"hugetlbfs", 0, None) == 0',
];
/** MAP_SHARED | MAP_NORESERVE: a kernel that has no huge page to spare maps it all the same. */
const mapsHugePage = 'mapped(os.open("huge/f", os.O_RDWR | os.O_CREAT), 0x4001)';
const triesHugePages = ['import os, tempfile; os.chdir(tempfile.mkdtemp())', ...mountsHugePages];
/** Not where file systems are not to be mounted. */
const hasHugePages =
  root &&
  spawnSync('unshare', ['--mount', 'python3', '-c', triesHugePages.join('\n')]).status === 0;

describe('what CRIU cannot dump', () => {
  it('is none of the usual files', async () => {
    await open('/etc/passwd-that-is-not-here');
    await symlink('pipe:[7]', join(proc, '42', 'fd', '4'));
    await symlink('anon_inode:[eventpoll]', join(proc, '42', 'fd', '5'));
    await expect(fake()).resolves.toBeUndefined();
    await run([
      'a = open("a", "w"); os.unlink("a"); m = os.memfd_create("x"); os.truncate(m, 2 << 30)',
    ]);
    await expect(check('/proc')).resolves.toBeUndefined();
  });

  it.each([
    ['anon_inode:[io_uring]', /^Process 42 \(ap\?p\) in container main uses io_uring, .*UV_USE_IO/],
    ['anon_inode:[userfaultfd]', /userfaultfd/],
    ['/secretmem (deleted)', /secret memory/],
    ['anon_inode:bpf-prog', /cannot be made again/],
  ])('is %s', async (link, text) => {
    await open(link);
    await expect(fake()).rejects.toMatchObject(refused(text));
  });

  it.each([
    ['rdma_cm', /librdmacm's connections.*without -R; UCX: UCX_SOCKADDR_TLS_PRIORITY=tcp/],
    ['umad0', /management datagrams.*opensm/],
    ['issm1', /management datagrams/],
    ['ucm0', /libibcm's connections/],
  ])('is /dev/infiniband/%s; the message names its descriptor', async (name, text) => {
    await open(`/dev/infiniband/${name}`);
    await expect(fake()).rejects.toMatchObject(
      refused(
        new RegExp(
          `^Process 42 \\(ap\\?p\\) in container main has /dev/infiniband/${name} open \\(descriptor 3\\) for `,
        ),
      ),
    );
    await expect(fake()).rejects.toMatchObject(refused(text));
  });

  it('is not the device whose contexts are moved', async () => {
    await open('/dev/infiniband/uverbs0');
    await expect(fake()).resolves.toBeUndefined();
  });

  it('is any other node of /dev/infiniband', async () => {
    await open('/dev/infiniband/hfi1_0');
    await expect(fake()).rejects.toMatchObject(
      refused(/has \/dev\/infiniband\/hfi1_0 open \(descriptor 3\) for something else than verbs/),
    );
  });

  it('is a 32-bit program, also one that was removed', async () => {
    await run(['']);
    await expect(check('/proc')).resolves.toBeUndefined();
    const path = join(dir, 'small');
    await writeFile(path, smallestProgram(), { mode: 0o755 });
    const small = spawn(path);
    await once(small, 'spawn');
    try {
      await writeFile(join(dir, 'cgroup', 'cgroup.procs'), `${small.pid}\n`);
      const text = new RegExp(`^Process ${small.pid} \\(small\\) in container main runs a 32-bit`);
      await expect(check('/proc')).rejects.toMatchObject(refused(text));
      await rm(path);
      await expect(check('/proc')).rejects.toMatchObject(refused(text));
    } finally {
      small.kill('SIGKILL');
    }
  });

  it('is an MPTCP listener, of which the message says how to do without it', async () => {
    const socket = { fd: 5, family: 10, protocol: 262, listens: true, port: 8080 };
    await expect(fake([socket])).rejects.toMatchObject(
      refused(/listens on port 8080 by MPTCP.*GODEBUG=multipathtcp=0/),
    );
    await expect(fake([{ ...socket, listens: false }])).rejects.toMatchObject(
      refused(/connection/),
    );
    await expect(fake([{ ...socket, family: 38, protocol: 0 }])).rejects.toMatchObject(
      refused(/family 38 and protocol 0/),
    );
  });

  it.each<[Partial<UndumpableSocket>, RegExp]>([
    [{ has: 'ulp', layer: 'tls' }, /socket \(descriptor 5\) with TLS in the kernel.*KTLS/],
    [{ has: 'ulp', layer: 'smc\n' }, /upper layer smc\? \(TCP_ULP\)/],
    [{ has: 'ao' }, /with keys of TCP-AO, which cannot be moved\. Close/],
    [{ has: 'md5', listens: true, port: 179 }, /listener on port 179 \(descriptor 5\) with MD5/],
    [{ has: 'bpf', family: 1, protocol: 0 }, /eBPF program as filter.*SO_ATTACH_FILTER/],
  ])('is a socket that would lose %o', async (more, text) => {
    const socket = { fd: 5, family: 2, protocol: 6, listens: false, port: 0, ...more };
    await expect(fake([socket])).rejects.toMatchObject(refused(text));
  });

  it('is a thread on one of the processors that its container alone has', async () => {
    await run([
      'first, *others = sorted(os.sched_getaffinity(0)); os.sched_setaffinity(0, [first])',
      'open("all", "w").write(",".join(map(str, [first, *(others or [first + 1])])))',
    ]);
    const cpus = await readFile(join(dir, 'all'), 'utf8');
    await writeFile(join(dir, 'cpuset.cpus.effective'), `${cpus},900\n`);
    await writeFile(join(dir, 'cgroup', 'cpuset.cpus.effective'), `${cpus}\n`);
    await expect(check('/proc')).rejects.toMatchObject(
      refused(
        /^Process \d+ \(python3.*\) in container main has confined a thread to the processors/,
      ),
    );
    await writeFile(join(dir, 'cpuset.cpus.effective'), `${cpus}\n`);
    await expect(check('/proc')).resolves.toBeUndefined();
  });

  it('is only what each of three looks finds', async () => {
    let looks = 0;
    const files = (socketOf: (look: number) => { family: number; port: number } | undefined) =>
      new UnmovableFiles(new Host({ root: dir }), {
        proc,
        betweenMs: 10,
        unshared: async () => [],
        sockets: async () => {
          const found = socketOf(++looks);
          return found ? [{ fd: 5, protocol: 262, listens: true, ...found }] : [];
        },
      }).check([container]);
    const socket = { family: 10, port: 8080 };
    await files(() => undefined);
    expect(looks).toBe(1);
    looks = 0;
    await files((look) => (look < 3 ? socket : undefined));
    expect(looks).toBe(3);
    looks = 0;
    await files((look) => ({ ...socket, port: look }));
    expect(looks).toBe(2);
    looks = 0;
    await expect(files(() => socket)).rejects.toMatchObject(refused(/on port 8080 by MPTCP/));
    expect(looks).toBe(3);
  });

  it('is a deleted file that grows from look to look', async () => {
    await run(['a = open("a", "w"); os.unlink("a"); os.posix_fallocate(a.fileno(), 0, 11 << 27)']);
    let bytes = 11 << 27;
    const grow = async () => {
      bytes += 1 << 28;
      const grown = spawnSync('fallocate', ['-l', String(bytes), `/proc/${child?.pid}/fd/3`]);
      expect(grown.status).toBe(0);
      return [];
    };
    const files = new UnmovableFiles(new Host({ root: dir }), {
      betweenMs: 10,
      sockets: grow,
      unshared: async () => [],
    });
    await expect(files.check([container])).rejects.toMatchObject(
      refused(/a deleted file of 1\.9 G/),
    );
  });

  it('is a watch on an overlay file system, but for what lies where CRIU looks', async () => {
    const watch = (ino: number, type: string) =>
      `pos:\t0\ninotify wd:1 ino:${ino.toString(16)} sdev:32 mask:100 ignored_mask:0 fhandle-bytes:24 fhandle-type:${type} f_handle:00\n`;
    await mkdir(join(proc, '42', 'root', 'etc', 'app'), { recursive: true });
    await mkdir(join(proc, '42', 'root', 'srv'));
    const { ino } = await stat(join(proc, '42', 'root', 'etc', 'app'));
    const other = (await stat(join(proc, '42', 'root', 'srv'))).ino;
    await open('anon_inode:inotify', watch(ino, 'f8'));
    await expect(fake()).resolves.toBeUndefined();
    await writeFile(join(proc, '42', 'fdinfo', '3'), watch(other, 'f8'));
    await expect(fake()).rejects.toMatchObject(refused(/inotify.*emptyDir/));
    await writeFile(join(proc, '42', 'fdinfo', '3'), watch(other, '1'));
    await expect(fake()).resolves.toBeUndefined();
  });

  it('is an open file whose name was removed while it has another one', async () => {
    await run(['a = open("a", "w"); os.link("a", "b"); os.unlink("a")']);
    await expect(check('/proc')).rejects.toMatchObject(refused(/a open, a file whose name was/));
  });

  it('is a deleted file of more than 1 GiB, but not of holes', async () => {
    await run(['a = open("a", "w"); os.unlink("a"); os.posix_fallocate(a.fileno(), 0, 11 << 27)']);
    await expect(check('/proc')).rejects.toMatchObject(refused(/a open, a deleted file of 1\.4 G/));
    child?.kill('SIGKILL');
    await run(['a = open("a", "w"); os.unlink("a"); a.truncate(11 << 27)']);
    await expect(check('/proc')).resolves.toBeUndefined();
  });

  it('is not a file whose name ends like the remark of the kernel', async () => {
    await run([
      ...mapping,
      'a = open("a (deleted)", "w+"); os.link("a (deleted)", "b"); a.truncate(4096); mapped(os.dup(a.fileno()))',
    ]);
    await expect(check('/proc')).resolves.toBeUndefined();
  });

  it.runIf(root)('is no memory that is shared in the usual ways', async () => {
    await run([
      ...mapping,
      'f = os.open("/dev/shm/sealift", os.O_RDWR | os.O_CREAT); os.unlink("/dev/shm/sealift"); os.truncate(f, 4096); mapped(f)',
      'f = os.memfd_create("x"); os.truncate(f, 3 << 30); mapped(f)',
      'f = os.open("a", os.O_RDWR | os.O_CREAT); os.unlink("a"); os.truncate(f, 3 << 30); mapped(f)',
      'f = os.open("/dev/zero", os.O_RDWR); mapped(f, 1); f = os.open("/dev/zero", os.O_RDWR); mapped(f, 2)',
      'f = os.open("b", os.O_RDWR | os.O_CREAT); os.truncate(f, 4096); mapped(f)',
      'libc.mmap(None, size(4096), 3, 0x21, -1, long(0)); libc.shmat.restype = ctypes.c_void_p',
      'i = libc.shmget(0, size(4096), 0o1600); assert libc.shmat(i, None, 0); libc.shmctl(i, 0, None)',
      'c = ctypes.c_ulong(0); assert libc.syscall(206, 8, ctypes.byref(c)) == 0',
    ]);
    await expect(check('/proc')).resolves.toBeUndefined();
  });

  it.runIf(root).each([
    [
      'a deleted file of more than 1 GiB',
      'f = os.open("a", os.O_RDWR | os.O_CREAT); os.unlink("a"); os.posix_fallocate(f, 0, 11 << 27); mapped(f)',
      /a mapped, a deleted file of 1\.4 GiB; up to 1 GiB .*shm_unlink.*memfd_create/,
    ],
    [
      'a file whose name was removed while it has another one',
      'f = os.open("a", os.O_RDWR | os.O_CREAT); os.truncate(f, 4096); os.link("a", "b"); os.unlink("a"); mapped(f)',
      /a mapped, a file whose name was removed/,
    ],
    [
      'secret memory',
      'f = libc.syscall(447, 0); assert f >= 0; os.truncate(f, 4096); mapped(f)',
      /has secret memory/,
    ],
    [
      'the rings of io_uring',
      'f = libc.syscall(425, 8, ctypes.create_string_buffer(200)); assert f >= 0; mapped(f)',
      /uses io_uring/,
    ],
    [
      'a ring of a packet socket',
      'import socket; s = socket.socket(17, 3, 0x300); s.setsockopt(263, 5, b"\\0\\x10\\0\\0\\1\\0\\0\\0\\0\\x08\\0\\0\\2\\0\\0\\0"); mapped(s.detach())',
      /ring of a packet socket mapped that it has closed/,
    ],
  ])('is %s that a process has mapped and closed', async (_what, line, text) => {
    await run([...mapping, line]);
    await expect(check('/proc')).rejects.toMatchObject(refused(text));
  });

  it.runIf(hasDisk)('is a device that a process has mapped and closed', async () => {
    const map = 'assert libc.mmap(None, size(4096), 1, 1, f, long(0)) != 2**64 - 1; os.close(f)';
    await run([...mapping, openDisk, map]);
    await expect(check('/proc')).rejects.toMatchObject(
      refused(/has .*disk mapped, which is no file with a content of its own/),
    );
  });

  it.runIf(root)('is a file of a mount that its container does not have', async () => {
    const [mounts, unmount] = ['mount -t tmpfs tmpfs', 'umount -l'];
    await run(
      [
        'os.mkdir("m"); assert os.system("' +
          mounts +
          ' m") == 0; f = open("m/f", "w"); d = os.open("m", 0)',
        'assert os.system("' + unmount + ' m") == 0; os.close(d)',
      ],
      ['unshare', '--mount', '--propagation', 'private'],
    );
    await expect(check('/proc')).rejects.toMatchObject(
      refused(/has .*f open or mapped, of a mount that its container does not have/),
    );
  });

  it.runIf(root)('is a POSIX message queue, open or not', async () => {
    const unshared = ['unshare', '--ipc', '--mount', '--propagation', 'private'];
    const made = [
      'import ctypes; libc = ctypes.CDLL("libc.so.6")',
      'libc.mount(b"dev", b"/dev", b"tmpfs", 0, None); os.mkdir("/dev/mqueue")',
      'libc.mount(b"mqueue", b"/dev/mqueue", b"mqueue", 0, None)',
      'q = libc.mq_open(b"/q", 0o102, 0o600, None)',
    ];
    await run(made, unshared);
    await expect(check('/proc')).rejects.toMatchObject(refused(/message queue \/q open/));
    child?.kill('SIGKILL');
    await run([...made, 'libc.mq_close(q)'], unshared);
    await expect(check('/proc')).resolves.toBeUndefined();
    const files = new UnmovableFiles(new Host({ root: dir }), {
      sockets: async () => [],
      unshared: async () => [],
    });
    await expect(files.check([{ ...container, pid: child?.pid ?? 0 }])).rejects.toMatchObject(
      refused(/message queues \(q\).*dev.mqueue/),
    );
  });

  it('is a file of huge pages, whose content no archive brings to the target', async () => {
    await writeFile(join(dir, 'huge'), '');
    await open(join(dir, 'huge'), 'flags:\t02\nmnt_id:\t7\n');
    const mount = (type: string) => `7 1 0:52 / /dev/hugepages rw - ${type} none rw,pagesize=2M\n`;
    await writeFile(join(proc, '42', 'mountinfo'), mount('tmpfs'));
    await expect(fake()).resolves.toBeUndefined();
    await writeFile(join(proc, '42', 'mountinfo'), mount('hugetlbfs'));
    await expect(fake()).rejects.toMatchObject(
      refused(
        /^Process 42 .* has \S+\/huge open or mapped, a file of huge pages .*MAP_HUGETLB.*--in-memory/,
      ),
    );
  });

  it.skipIf(!hasHugePages)('is a file of huge pages that a process has mapped', async () => {
    await run([...mountsHugePages, ...mapping, mapsHugePage], ['unshare', '--mount']);
    await expect(check('/proc')).rejects.toMatchObject(
      refused(/has \S+\/huge\/f open or mapped, a file of huge pages/),
    );
    child?.kill('SIGKILL');
    // One without a file is the kernel's own.
    await run([...mapping, 'mapped(os.memfd_create("huge", os.MFD_HUGETLB), 0x4001)']);
    await expect(check('/proc')).resolves.toBeUndefined();
  });

  it('is a container without cgroup v2', async () => {
    const files = new UnmovableFiles(new Host({ root: dir }), { proc });
    await expect(files.check([{ name: 'main', pid: 42 }])).rejects.toMatchObject(
      refused(/main has no cgroup v2/),
    );
  });

  it('is a file that is mounted alone and was replaced since, as subPath of a ConfigMap that was updated', async () => {
    const line = (root: string, at: string) => `7 1 8:1 ${root} ${at} rw - ext4 /dev/sda1 rw\n`;
    await writeFile(join(proc, '42', 'mountinfo'), line('/pods/u/..1/key', '/etc/app.conf'));
    await expect(fake()).resolves.toBeUndefined();
    const text = line('/pods/u/..1/key//deleted', '/etc/app.conf');
    await writeFile(join(proc, '42', 'mountinfo'), text);
    await expect(fake()).rejects.toMatchObject(
      refused(/^Container main has \/etc\/app\.conf mounted, .*subPath/),
    );
  });

  it('is a lock that a file server keeps', async () => {
    await writeFile(join(proc, '42', 'mountinfo'), '7 1 0:52 / /data rw - nfs4 s:/ rw,vers=4.2\n');
    await open(
      '/data/log',
      'flags:\t02\nmnt_id:\t7\nlock:\t1: FLOCK  ADVISORY  WRITE 9 00:34:1 0 EOF\n',
    );
    await expect(fake()).rejects.toMatchObject(refused(/^Process 42 .* holds a lock \(FLOCK\)/));
  });
});
