// SPDX-License-Identifier: Apache-2.0
// sealift-guard: whatever happens to CRIU, what it dumped is frozen, and its TCP sockets work again.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bench, type Case } from './harness.ts';

/** Has a socket in repair mode; tries it as soon as the file `go` is there. */
const TASK = `
import os, socket, sys, time
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname()); other, _ = server.accept()
client.setsockopt(socket.IPPROTO_TCP, 19, 1)
print("ready", flush=True)
while not os.path.exists(sys.argv[1]): time.sleep(0.02)
try: client.send(b"x"); print(other.recv(1), flush=True)
except OSError as error: print(error.strerror, flush=True)
`;

let runs = 0;

/**
 * Guards a command (a line of shell, in which $tasks is the frozen cgroup) and says what is left afterwards.
 * @param when the file for which a dump that was started ahead waits
 */
function guarded(bench: Bench, line: string, when = ''): string[] {
  const id = `test-${process.pid}-${++runs}`;
  writeFileSync(join(bench.dir, 'task.py'), TASK);
  copyFileSync('/bin/sleep', join(bench.dir, 'criu'));
  const script = `set -eu; cd ${bench.dir}; rm -f go said pages
    mount -t tmpfs none /sys; mkdir -p /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup
    export tasks=/sys/fs/cgroup/sealift-${id}
    mkdir $tasks $tasks/inner
    python3 task.py $PWD/go > said & echo $! > $tasks/inner/cgroup.procs
    until grep -q ready said; do sleep 0.02; done
    echo 1 > $tasks/cgroup.freeze
    export SEALIFT_DUMP_WHEN=${when}
    status=0; ./sealift-guard ${id} $tasks sh -c "cd $PWD; $0" || status=$?
    echo status $status; echo frozen $(cat $tasks/cgroup.freeze)
    rmdir /sys/fs/cgroup/sealift/${id}
    touch go; echo 0 > $tasks/cgroup.freeze; wait; rmdir $tasks/inner $tasks; tail -n 1 said`;
  const ran = spawnSync(
    'unshare',
    ['--pid', '--fork', '--mount-proc', 'bash', '-c', script, line],
    { encoding: 'utf8', timeout: 60_000 },
  );
  assert.equal(ran.status, 0, ran.stderr);
  return ran.stdout.trim().split('\n');
}

/** Stands for a CRIU that writes pages for three seconds, or until it cannot, and then cleans up. Its plugin ignores SIGXFSZ. */
const writing = `./criu -c 'trap "" XFSZ; echo 0 > $tasks/cgroup.freeze
  for i in $(seq 60); do printf %070000d 0 >> pages || exit 5; sleep 0.05; done 2> errors' & `;
const asked = 'kill -ALRM $PPID; ';

const whole = (status: number): string[] => [`status ${status}`, 'frozen 1', "b'x'"];

export const guardCases: Case[] = [
  [
    'guard: a CRIU that is killed leaves its tasks frozen and their sockets whole',
    async (bench) => {
      const line =
        './criu 60 & echo 0 > $tasks/cgroup.freeze; sleep 0.3; kill -KILL $!; wait; exit 7';
      assert.deepEqual(guarded(bench, line), whole(7));
    },
  ],
  [
    'guard: one that outlives its runc is waited for',
    async (bench) => {
      // A CRIU that still runs keeps the guard's cgroup from being removed.
      const line = './criu 1 & echo 0 > $tasks/cgroup.freeze; sleep 0.3';
      assert.deepEqual(guarded(bench, line), whole(0));
    },
  ],
  [
    'guard: a command that is killed and starts none leaves them frozen too',
    async (bench) => {
      assert.deepEqual(guarded(bench, 'echo 0 > $tasks/cgroup.freeze; kill -9 $$'), whole(137));
    },
  ],
  [
    'guard: a command that cannot be run ends as in a shell',
    async (bench) => {
      assert.deepEqual(guarded(bench, 'exec no-such-command'), whole(127));
    },
  ],
  [
    'guard: one that is asked to makes a CRIU give up that writes, even if it is stopped or comes later',
    async (bench) => {
      const ended = 'wait $!; exit $?';
      const named = 'cp /bin/bash criu; ';
      for (const line of [
        writing + 'sleep 0.3; ' + asked,
        writing + 'sleep 0.3; kill -STOP $!; ' + asked,
        asked + 'sleep 0.1; ' + writing,
        writing + 'sleep 0.3; ' + asked + asked,
      ])
        assert.deepEqual(guarded(bench, named + line + ended), whole(5), line);
    },
  ],
  [
    'guard: a dump that was started ahead and is not begun leaves the tasks as they are',
    async (bench) => {
      const line = './criu 0.1; echo 0 > $tasks/cgroup.freeze; ./criu 5 & sleep 0.3; kill -KILL $!';
      const ended = guarded(bench, line, '$PWD/begin');
      assert.deepEqual(ended, ['status 0', 'frozen 0', 'Invalid argument']);
    },
  ],
  [
    'guard: one that was begun leaves them frozen',
    async (bench) => {
      const line =
        './criu 0.1; touch begin; ./criu 5 & echo 0 > $tasks/cgroup.freeze; sleep 0.3; kill -KILL $!; wait; exit 7';
      assert.deepEqual(guarded(bench, line, '$PWD/begin'), whole(7));
    },
  ],
  [
    'guard: says how it is called',
    async (bench) => {
      for (const args of [['x'], ['../x', '/sys/fs/cgroup/a', 'true'], ['x', '/a', 'true']])
        assert.equal((await bench.run('sealift-guard', args)).status, 2);
    },
  ],
];
