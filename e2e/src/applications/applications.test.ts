// SPDX-License-Identifier: Apache-2.0
// What the applications print, and what the suite takes from it.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cases } from '../../cases/applications.ts';
import { z } from 'zod';
import { evidenceOf, iterationsFor, shellLine, verdictIn } from './application.ts';
import * as forking from './forking.ts';
import * as manyObjects from './many-objects.ts';
import * as mpi from './mpi.ts';
import * as perftest from './perftest.ts';
import * as pingpong from './pingpong.ts';
import * as reconnecting from './reconnecting.ts';
import * as ucx from './ucx.ts';

/** As perftest 6.24 prints them. */
const BANDWIDTH = `
---------------------------------------------------------------------------------------
                    Send BW Test
 Dual-port       : OFF		Device         : rxe0
 Link type       : Ethernet
 GID index       : 1
 local address: LID 0000 QPN 0x0011 PSN 0x4e0b2
 GID: 00:00:00:00:00:00:00:00:00:00:255:255:10:99:00:11
---------------------------------------------------------------------------------------
 #bytes     #iterations    BW peak[MiB/sec]    BW average[MiB/sec]   MsgRate[Mpps]
 4096       2000             0.00               11.71  		     0.002998
---------------------------------------------------------------------------------------
`;
const LATENCY = `
 #bytes        #iterations       t_avg[usec]    tps average
 64            41200           1262.14          792.31
`;
const PINGPONG = `
  local address:  LID 0x0000, QPN 0x000011, PSN 0x5fa3e1, GID ::ffff:10.99.0.11
  remote address: LID 0x0000, QPN 0x000012, PSN 0x0be8a2, GID ::ffff:10.99.0.12
8192000 bytes in 1.25 seconds = 52.43 Mbit/sec
1000 iters in 1.25 seconds = 1250.00 usec/iter
`;
/** As ucx_perftest 1.18 prints them. */
const UCX = `
|    Stage     | # iterations | 50.0%ile | average | overall |  average |  overall |  average  |  overall  |
+--------------+--------------+----------+---------+---------+----------+----------+-----------+-----------+
[thread 0]             19684      5.678    27.205    50.927        2.24       1.20       36758       19636
Final:                200000      7.657    10.495    17.639        5.82       3.46       95281       56694
`;
const client = { endpoint: 'client', iterations: undefined } as const;
const server = { endpoint: 'server', iterations: undefined } as const;

describe('work after a move', () => {
  const all = [
    ...[...perftest.perftests, ...pingpong.pingpongs, ...forking.forking],
    ...[...reconnecting.reconnecting, ...manyObjects.manyObjects, ...ucx.ucx, ...mpi.mpi],
  ];
  test.each(all.map((one) => [one.name, one] as const))('shows of %s', (name, one) => {
    const line = [...one.server, ...(one.client ?? [])].join(' ');
    const wanted = one.counted ? 'iterations' : one.afterMove ? 'output' : 'packets';
    expect(evidenceOf(one)).toBe(wanted);
    // What perftest ends by the clock says nothing of its connection.
    if (/ -D /.test(`${line} `)) expect(wanted).toBe('packets');
    // Nothing arrives at who sends datagrams.
    expect(one.receivers ?? 'both', name).toEqual(/-c UD/.test(line) ? ['server'] : 'both');
  });
});

describe('perftest', () => {
  test('prints results of a bandwidth test', () => {
    expect(perftest.resultIn(BANDWIDTH)).toEqual({
      bytes: 4096,
      iterations: 2000,
      columns: [0, 11.71, 0.002998],
    });
    expect(perftest.rateIn(BANDWIDTH)).toBeCloseTo(2998);
    expect(perftest.rateIn('')).toBeUndefined();
  });

  test('prints results of a latency test', () => {
    expect(perftest.resultIn(LATENCY)?.iterations).toBe(41_200);
  });

  test('is verified by the results of its client and by silence about errors', () => {
    expect(perftest.isVerified({ ...client, log: BANDWIDTH })).toBe(true);
    expect(perftest.isVerified({ ...client, log: '' })).toBe(false);
    expect(perftest.isVerified({ ...server, log: '' })).toBe(true);
    const complaint = `${BANDWIDTH}\n Completion with error at client\n`;
    expect(perftest.isVerified({ ...client, log: complaint })).toBe(false);
    expect(perftest.isVerified({ ...client, log: BANDWIDTH.replace(' 2000 ', ' 0 ') })).toBe(false);
  });

  test('has done as many iterations as it was told', () => {
    expect(perftest.isVerified({ ...client, log: BANDWIDTH, iterations: 2000 })).toBe(true);
    expect(perftest.isVerified({ ...client, log: BANDWIDTH, iterations: 2001 })).toBe(false);
  });

  test('is given no option twice, which it refuses', () => {
    for (const { server: words } of perftest.perftests) {
      const options = words.filter((word) => word.startsWith('-'));
      expect(new Set(options).size, words.join(' ')).toBe(options.length);
    }
  });
});

describe('ibv_*_pingpong', () => {
  test('prints how long its iterations took', () => {
    expect(pingpong.runIn(PINGPONG)).toEqual({ iterations: 1000, seconds: 1.25 });
    expect(pingpong.rateIn(PINGPONG)).toBe(800);
    expect(pingpong.rateIn('')).toBeUndefined();
    expect(pingpong.rateIn(PINGPONG.replace('iters in 1.25', 'iters in 0.00'))).toBe(200_000);
  });

  test('is verified by its last run', () => {
    const last = PINGPONG.replace('1000 iters', '90000 iters');
    const log = `${PINGPONG}${last}`;
    expect(pingpong.isVerified({ ...server, log, iterations: 90_000 })).toBe(true);
    expect(pingpong.isVerified({ ...server, log: PINGPONG, iterations: 90_000 })).toBe(false);
    const wrong = `${log}invalid data in page 0\n`;
    expect(pingpong.isVerified({ ...server, log: wrong, iterations: 90_000 })).toBe(false);
  });
});

describe('ucx_perftest', () => {
  test('prints how fast it was', () => {
    expect(ucx.resultIn(UCX)).toEqual({ iterations: 200_000, messagesPerS: 56_694 });
    expect(ucx.resultIn('')).toBeUndefined();
  });

  test('counts two messages for an iteration of a latency test, and one for others', () => {
    const rateOf = (name: string): number | undefined =>
      ucx.ucx.find((one) => one.name === name)?.counted?.rate(UCX);
    expect(rateOf('ucx-rc-tag-lat')).toBe(28_347);
    expect(rateOf('ucx-ud-tag-bw')).toBe(56_694);
  });

  test('is verified by the iterations of its client and by silence about errors', () => {
    expect(ucx.isVerified({ ...client, log: UCX, iterations: 200_000 })).toBe(true);
    expect(ucx.isVerified({ ...client, log: UCX, iterations: 200_001 })).toBe(false);
    expect(ucx.isVerified({ ...server, log: '', iterations: 200_000 })).toBe(true);
    const complaint =
      '[1795968511.1] [pod-a:26   :0]  ud_ep.c:278  UCX  ERROR UD endpoint timeout\n';
    expect(ucx.isVerified({ ...server, log: complaint, iterations: 200_000 })).toBe(false);
  });
});

describe('mpi-rounds', () => {
  const VERDICT = '{"test":"allreduce","ranks":2,"rounds":1334,"wrong":0}';

  test('is verified by rank 0', () => {
    expect(mpi.isVerified({ ...client, log: VERDICT })).toBe(true);
    expect(mpi.isVerified({ ...client, log: 'progress 3\n' })).toBe(false);
    expect(mpi.isVerified({ ...client, log: VERDICT.replace('"wrong":0', '"wrong":1') })).toBe(
      false,
    );
    expect(mpi.isVerified({ ...client, log: VERDICT.replace('1334', '0') })).toBe(false);
    expect(mpi.isVerified({ ...server, log: '' })).toBe(true);
  });

  test('has begun after the first rounds', () => {
    expect(mpi.mpi[0]?.started?.test('progress 0\n')).toBe(false);
    expect(mpi.mpi[0]?.started?.test('progress 0\nprogress 53\n')).toBe(true);
  });
});

describe('the forking server', () => {
  const VERDICT = '{"workers":4,"rounds":910,"wrong":0}';

  test('is verified by its client', () => {
    expect(forking.isVerified({ ...client, log: VERDICT })).toBe(true);
    expect(forking.isVerified({ ...client, log: VERDICT.replace('"wrong":0', '"wrong":2') })).toBe(
      false,
    );
    expect(forking.isVerified({ ...client, log: '' })).toBe(false);
  });

  test('complains of what its workers find', () => {
    expect(forking.isVerified({ ...server, log: '' })).toBe(true);
    const complaint = 'exchange: worker 2, round 17: word 3 is wrong\n';
    expect(forking.isVerified({ ...server, log: complaint })).toBe(false);
  });
});

describe('a pair that reconnects', () => {
  const SESSIONS = 60;
  const verdict = (more: object): string =>
    `session 60\n${JSON.stringify({ sessions: SESSIONS, rounds: 9000, wrong: 0, ...more })}\n`;

  test('is verified by its client, which has made every connection', () => {
    expect(reconnecting.isVerified({ ...client, log: verdict({}) })).toBe(true);
    expect(reconnecting.isVerified({ ...client, log: verdict({ sessions: 59 }) })).toBe(false);
    expect(reconnecting.isVerified({ ...client, log: verdict({ wrong: 1 }) })).toBe(false);
    expect(reconnecting.isVerified({ ...client, log: 'session 60\n' })).toBe(false);
    expect(reconnecting.isVerified({ ...client, log: `exchange: send\n${verdict({})}` })).toBe(
      false,
    );
  });

  test('has a server that has begun the last one', () => {
    expect(reconnecting.isVerified({ ...server, log: 'session 60\n' })).toBe(true);
    expect(reconnecting.isVerified({ ...server, log: 'session 6\n' })).toBe(false);
  });
});

describe('many objects', () => {
  const verdict = (more: object): string =>
    JSON.stringify({ qps: 64, cqs: 16, regions: 1024, rounds: 900, wrong: 0, ...more });

  test('are verified by either end, which has found every round right', () => {
    expect(manyObjects.isVerified({ ...client, log: verdict({}) })).toBe(true);
    expect(manyObjects.isVerified({ ...server, log: verdict({}) })).toBe(true);
    expect(manyObjects.isVerified({ ...server, log: verdict({ wrong: 1 }) })).toBe(false);
    expect(manyObjects.isVerified({ ...server, log: verdict({ rounds: 0 }) })).toBe(false);
    expect(manyObjects.isVerified({ ...server, log: '' })).toBe(false);
    const complains = `many: round 7: found round 6, kind 1\n${verdict({})}`;
    expect(manyObjects.isVerified({ ...server, log: complains })).toBe(false);
  });
});

describe('an endpoint', () => {
  test('prints a verdict', () => {
    const form = z.strictObject({ rounds: z.int() });
    expect(verdictIn('progress 3\n{"rounds":1334}\n', form)).toEqual({ rounds: 1334 });
    expect(verdictIn('progress 3\n', form)).toBeUndefined();
    expect(() => verdictIn('{"rounds":1.5}\n', form)).toThrow();
  });

  const counted = { option: '-n', pilot: 7, rate: () => undefined };

  test('is replaced by the application', () => {
    expect(shellLine(['echo', 'a'], undefined, 'b')).toBe('exec echo a b');
  });

  test('finds its peer where its words have it', () => {
    const line = shellLine(['echo', 'to', '$PEER:1'], undefined, '10.99.0.12');
    expect(spawnSync('/bin/sh', ['-c', line], { encoding: 'utf8' }).stdout).toBe(
      'to 10.99.0.12:1\n',
    );
  });

  test('does the pilot run, and then as many iterations as it is told', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'iterations-')), 'count');
    writeFileSync(file, '9\n');
    const line = shellLine(['echo', 'run'], counted, 'peer', file);
    const done = spawnSync('/bin/sh', ['-c', line], { encoding: 'utf8' });
    expect(done.stdout).toBe('run -n 7 peer\nrun -n 9 peer\n');
  });

  test('ends where the pilot run fails', () => {
    expect(spawnSync('/bin/sh', ['-c', shellLine(['false'], counted)]).status).toBe(1);
  });
});

test('iterations last as long as they are to', () => {
  expect(iterationsFor(250, 110, 1000)).toBe(27_500);
  expect(iterationsFor(0.5, 110, 1000)).toBe(1000);
});

test('names of the pods are short enough', () => {
  for (const { name } of cases)
    expect(`${name.replace('application-', '')}-abcde`.length).toBeLessThan(50);
});
