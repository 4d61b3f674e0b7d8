// SPDX-License-Identifier: Apache-2.0
// Processes with files that CRIU cannot dump: of a made-up /proc where the kernel's answer is known, else real ones.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
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
const check = (
  directory: string,
  sockets: { fd: number; family: number; protocol: number; listens: boolean; port: number }[] = [],
) =>
  new UnmovableFiles(new Host({ root: dir }), {
    proc: directory,
    sockets: async () => sockets,
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
async function run(lines: readonly string[]): Promise<void> {
  const text = [...lines, 'print("ready", flush=True); sys.stdin.readline()'].join('\n');
  child = spawn('python3', ['-c', `import os, sys\nos.chdir(${JSON.stringify(dir)})\n${text}`]);
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

  it('is what a process has chosen for memory errors, but for the default', async () => {
    const set = (what: string) => run(['import ctypes', `ctypes.CDLL(None).prctl(${what}, 0, 0)`]);
    await set('33, 1, 1');
    await expect(check('/proc')).rejects.toMatchObject(refused(/PR_MCE_KILL\), which cannot be/));
    child?.kill('SIGKILL');
    await set('33, 1, 2');
    await expect(check('/proc')).resolves.toBeUndefined();
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

  it('is a deleted file of more than 1 GiB', async () => {
    await run(['a = open("a", "w"); os.unlink("a"); a.truncate((1 << 30) + 1)']);
    await expect(check('/proc')).rejects.toMatchObject(refused(/deleted file of 1\.0 GiB/));
  });

  it.runIf(process.getuid?.() === 0)('is a POSIX message queue, open or not', async () => {
    const made = [
      'import ctypes; libc = ctypes.CDLL("libc.so.6")',
      'libc.unshare(0x08000000 | 0x00020000); libc.mount(None, b"/", None, 0x44000, None)',
      'libc.mount(b"dev", b"/dev", b"tmpfs", 0, None); os.mkdir("/dev/mqueue")',
      'libc.mount(b"mqueue", b"/dev/mqueue", b"mqueue", 0, None)',
      'q = libc.mq_open(b"/q", 0o102, 0o600, None)',
    ];
    await run(made);
    await expect(check('/proc')).rejects.toMatchObject(refused(/message queue \/q open/));
    child?.kill('SIGKILL');
    await run([...made, 'libc.mq_close(q)']);
    await expect(check('/proc')).resolves.toBeUndefined();
    const files = new UnmovableFiles(new Host({ root: dir }), { sockets: async () => [] });
    await expect(files.check([{ ...container, pid: child?.pid ?? 0 }])).rejects.toMatchObject(
      refused(/message queues \(q\).*dev.mqueue/),
    );
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
