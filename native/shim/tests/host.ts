// SPDX-License-Identifier: Apache-2.0
// sealift-host leaves a private mount namespace; and the names that the binary answers to.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { type Case } from './harness.ts';

export const hostCases: Case[] = [
  [
    'host: runs a command in the mount namespace of process 1',
    async (bench) => {
      // Process 1 of a process namespace of the test's own stands for the host's.
      const host = join(bench.dir, 'sealift-host');
      const hidden = `mount -t tmpfs none ${bench.bundle} && touch ${bench.bundle}/hidden &&
        ls ${bench.bundle}; ${host} sh -c 'pwd; ls ${bench.bundle}; exit 5'`;
      const ran = spawnSync(
        'unshare',
        [
          '--pid',
          '--fork',
          '--mount-proc',
          'sh',
          '-c',
          'unshare --mount sh -c "$0"; exit $?',
          hidden,
        ],
        { encoding: 'utf8' },
      );
      assert.equal(ran.status, 5, ran.stderr);
      assert.equal(ran.stdout, 'hidden\n/\n');
    },
  ],
  [
    'host: says what is wrong',
    async (bench) => {
      assert.equal((await bench.run('sealift-host', [])).status, 2);
      const absent = spawnSync(
        'unshare',
        [
          '--pid',
          '--fork',
          '--mount-proc',
          'sh',
          '-c',
          '"$0" no-such; exit $?',
          join(bench.dir, 'sealift-host'),
        ],
        { encoding: 'utf8' },
      );
      assert.equal(absent.status, 127);
      assert.match(absent.stderr, /cannot run no-such: No such file/);
    },
  ],
  [
    'names: any other is refused',
    async (bench) => {
      const ended = await bench.run('else', ['create']);
      assert.equal(ended.status, 2);
      assert.equal(bench.runcArgs(), undefined);
    },
  ],
];
