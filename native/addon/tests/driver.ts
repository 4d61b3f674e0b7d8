// SPDX-License-Identifier: Apache-2.0
// The RDMA calls against a loaded driver: run as root on a node with Sealift's rdma_rxe, ib_uverbs,
// `rdma system set netns exclusive` and perftest. Ends with the count, or says why nothing ran.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import * as addon from '../index.ts';
import { macvlanCase } from './macvlan.ts';

const A = 'sealift-test-a';
const B = 'sealift-test-b';
const netns = (name: string) => `/var/run/netns/${name}`;
const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });

function build(): void {
  for (const ns of [A, B]) ip('netns', 'add', ns);
  ip('link', 'add', 'va', 'netns', A, 'type', 'veth', 'peer', 'name', 'vb', 'netns', B);
  for (const [ns, name, address] of [
    [A, 'va', '10.123.0.1/24'],
    [B, 'vb', '10.123.0.2/24'],
  ] as const) {
    ip('-n', ns, 'addr', 'add', address, 'dev', name);
    ip('-n', ns, 'link', 'set', name, 'up');
    ip('-n', ns, 'link', 'set', 'lo', 'up');
  }
}

function tearDown(): void {
  for (const ns of [A, B]) {
    try {
      ip('netns', 'del', ns);
    } catch {
      // it was never made
    }
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

async function until(holds: () => Promise<boolean>, ms = 60_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function perftest(ns: string, ...more: string[]) {
  const args = ['netns', 'exec', ns, 'ib_write_bw', '-n', '20000', '-s', '4096', '-F', ...more];
  const child = spawn('ip', args, { stdio: 'pipe' });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  return { child, ended, output: () => text };
}

/** perftest's server waits for its client. */
const isListening = (): boolean =>
  execFileSync('ip', ['netns', 'exec', A, 'ss', '-ltnH']).toString().includes(':18515');

/** What a process has of a queue pair and its completion queue: their memory, its address, files of events. */
async function expectTraces(
  of: { netns: string; device: string },
  pid: number,
  ours: addon.RxeObject,
  objects: readonly addon.RxeObject[],
): Promise<void> {
  const [queue] = objects.filter(({ kind, context }) => kind === 'cq' && context === ours.context);
  const maps = readFileSync(`/proc/${pid}/maps`, 'latin1');
  for (const { offset, size } of [...(ours.rings ?? []), ...(queue?.rings ?? [])]) {
    const line = new RegExp(`^(\\w+)-(\\w+) rw-s 0*${offset.toString(16)} .*uverbs`, 'm').exec(
      maps,
    );
    const [, start = '', end = ''] = line ?? [];
    assert.equal(parseInt(end, 16) - parseInt(start, 16), size, `a ring at ${offset}\n${maps}`);
  }
  assert.deepEqual([ours.rings?.length, queue?.rings?.length], [2, 1]);
  const gids = await addon.gids(of.netns, of.device);
  assert.equal(gids.find(({ index }) => index === ours.sourceIndex)?.netdev, 'va');
  const files = await addon.rxeEventFiles({ ...of, pids: [pid, process.pid] });
  assert.ok(files.length > 0, 'libibverbs opens a file of asynchronous events');
  for (const one of files) {
    assert.deepEqual([one.pid, one.kind, one.context], [pid, 'async', ours.context]);
  }
  const [open] = await addon.rxeContexts({ ...of, pid });
  assert.deepEqual([open?.asyncFiles, open?.channels, open?.others], [1, 0, []]);
}

const cases: [name: string, run: () => Promise<void>][] = [
  ['the mode is reported', async () => assert.equal(await addon.rdmaNetnsMode(), 'exclusive')],
  [
    'a link is made in its namespace and nowhere else',
    async () => {
      await addon.rdmaLinkAdd({ netns: netns(A), name: 'rxea', netdev: 'va' });
      await addon.rdmaLinkAdd({ netns: netns(B), name: 'rxeb', netdev: 'vb' });
      const [device, ...others] = await addon.rdmaDevices(netns(A));
      assert.deepEqual(others, []);
      assert.equal(device?.name, 'rxea');
      assert.equal(device?.netdev, 'va');
      assert.match(device?.nodeGuid ?? '', /^([0-9a-f]{4}:){3}[0-9a-f]{4}$/);
      assert.match(device?.uverbs?.name ?? '', /^uverbs\d+$/);
      assert.equal(device?.uverbs?.major, 231);
      const hosts = await addon.rdmaDevices('/proc/1/ns/net');
      assert.ok(!hosts.some((other) => other.name.startsWith('rxe')));
    },
  ],
  [
    'a taken name, a taken interface, a missing one',
    async () => {
      const add = (name: string, netdev: string) =>
        code(addon.rdmaLinkAdd({ netns: netns(A), name, netdev }));
      assert.equal(await add('rxeb', 'lo'), 'EEXIST');
      assert.equal(await add('rxec', 'va'), 'EEXIST');
      assert.equal(await add('rxec', 'nope'), 'ENODEV');
      assert.equal(await add('', 'va'), 'BadArgument');
      assert.equal(await add('x'.repeat(64), 'va'), 'BadArgument');
    },
  ],
  [
    'GIDs',
    async () => {
      const v4 = (await addon.gids(netns(A), 'rxea')).filter((gid) => gid.gid.includes('10.123'));
      assert.ok(v4.length > 0);
      assert.equal(v4[0]?.gid, '::ffff:10.123.0.1');
      assert.equal(v4[0]?.netdev, 'va');
      assert.equal(v4[0]?.type, 'RoCE v2');
    },
  ],
  [
    'a device of another namespace does not exist',
    async () => {
      assert.equal(await code(addon.rxeQuery({ netns: netns(B), device: 'rxea' })), 'NoSuchDevice');
      assert.equal(await code(addon.gids(netns(B), 'rxea')), 'NoSuchDevice');
      assert.equal(await code(addon.rdmaResources(netns(B), 'rxea')), 'NoSuchDevice');
      assert.equal(
        await code(addon.rxeObjects({ netns: netns(B), device: 'rxea' })),
        'NoSuchDevice',
      );
    },
  ],
  [
    'query, hold, resume',
    async () => {
      const of = { netns: netns(A), device: 'rxea' };
      assert.equal((await addon.rxeQuery(of)).held, false);
      const hold = (receiveDatagrams: boolean, choose: boolean, rnrTimer = 22, timeoutMs = 5000) =>
        addon.rxeHold({ ...of, rnrTimer, timeoutMs, receiveDatagrams, choose });
      for (const [receives, chosen] of [
        [true, true],
        [false, true],
        [true, false],
        [false, false],
      ] as const) {
        await hold(receives, chosen);
        const { held, rnrTimer, receivesDatagrams, chooses } = await addon.rxeQuery(of);
        assert.deepEqual(
          [held, rnrTimer, receivesDatagrams, chooses],
          [true, 22, receives, chosen],
        );
      }
      assert.equal((await addon.rxeQuery({ netns: netns(B), device: 'rxeb' })).held, false);
      const naks = [{ qpn: 0xfffff, psn: 3, syndrome: 0x62 }];
      assert.deepEqual(await addon.rxeNaks(of), []);
      assert.deepEqual(await addon.rxeRestoreNaks({ ...of, naks }), naks, 'no such queue pair');
      assert.deepEqual(await addon.rxeRestoreNaks({ ...of, naks: [] }), []);
      await addon.rxeResume(of);
      assert.equal(await code(addon.rxeNaks(of)), 'EBUSY');
      assert.equal(await code(addon.rxeRestoreNaks({ ...of, naks })), 'EBUSY');
      await addon.rxeResume(of);
      assert.equal((await addon.rxeQuery(of)).held, false);
      assert.equal(await code(hold(false, true, 32, 5)), 'BadArgument');
      assert.equal(await code(hold(false, true, 1, 0)), 'EINVAL');
    },
  ],
  [
    'a stream is held and resumes; its objects are reported',
    async () => {
      const server = perftest(A, '-d', 'rxea');
      await until(async () => isListening());
      const client = perftest(B, '-d', 'rxeb', '10.123.0.1');
      const of = { netns: netns(A), device: 'rxea' };
      const qp = async () =>
        (await addon.rdmaResources(of.netns, of.device)).qp.find((one) => one.type === 'RC');
      await until(async () => (await qp())?.state === 'RTS' || (await qp())?.state === 'RTR');
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const mode = { receiveDatagrams: false, choose: true };
      await addon.rxeHold({ ...of, ...mode, rnrTimer: 20, timeoutMs: 10_000 });

      const resources = await addon.rdmaResources(of.netns, of.device);
      const before = await qp();
      assert.ok(before?.pid && before.lqpn > 1 && before.rqpn);
      const mr = resources.mr.find((one) => one.pid === before.pid);
      assert.ok(mr?.rkey && mr.lkey && mr.mrlen >= 4096);
      assert.ok(resources.cq.some((one) => one.pid === before.pid && one.cqe > 0));
      assert.ok(resources.pd.some((one) => one.pid === before.pid));
      const counts = await addon.rxeQuery(of);
      assert.ok([counts.qps, counts.mrs, counts.cqs].every((count) => count >= 1));

      const objects = await addon.rxeObjects(of);
      const ours = objects.find((one) => one.kind === 'qp' && one.number === before.lqpn);
      assert.deepEqual([ours?.type, ours?.owner], ['RC', before.pid]);
      const open = await addon.rxeContexts({ ...of, pid: before.pid });
      assert.deepEqual(
        open.map(({ context }) => context),
        [ours?.context],
        'the context that the process has open is that of its queue pair',
      );
      // perftest reads no event. That something of the interface has changed is none.
      const unread = async () =>
        (await addon.rxeContexts({ ...of, pid: before.pid ?? 0 })).map((one) => one.unreadEvents);
      assert.deepEqual(await unread(), [0]);
      ip('-n', A, 'link', 'set', 'va', 'alias', 'one');
      ip('-n', A, 'addr', 'add', '10.123.0.77/32', 'dev', 'va');
      const gidChange = 1 << 18;
      await until(async () => (await unread())[0] !== 0, 5000);
      assert.deepEqual(await unread(), [gidChange]);
      assert.ok(ours);
      await expectTraces(of, before.pid, ours, objects);
      const peers = await addon.rxeObjects({ netns: netns(B), device: 'rxeb' });
      assert.deepEqual(
        peers.find(({ type }) => type === 'RC')?.peer,
        { rnrRetry: 7, retryCount: 7, timeout: 14, isSilent: false, rnrTimer: 20 },
        "perftest's client, which may send",
      );
      const region = objects.find((one) => one.kind === 'mr' && one.number === mr.rkey);
      assert.deepEqual([region?.isUserMemory, region?.owner], [true, before.pid]);
      assert.equal(region?.context, ours?.context);
      assert.ok(region?.memory && region.memory.length >= 4096 && region.memory.start > 4096);
      const contexts = objects.filter(({ kind }) => kind === 'context');
      assert.deepEqual(
        contexts.map(({ owner }) => owner),
        [before.pid],
        "the calls' own contexts are left out",
      );
      const kernels = objects.filter((one) => one.kind === 'qp' && one.context === undefined);
      assert.deepEqual(
        kernels.map(({ type }) => type),
        ['GSI'],
      );
      assert.deepEqual(await addon.rxeContexts({ ...of, pid: process.pid }), []);
      assert.deepEqual(await addon.rxeContexts({ ...of, pid: 0x3ffffff }), []);

      await new Promise((resolve) => setTimeout(resolve, 1500));
      assert.equal((await qp())?.rqPsn, before.rqPsn, 'nothing moves while held');
      assert.equal(client.child.exitCode, null);
      await addon.rxeResume(of);
      assert.deepEqual(await Promise.all([server.ended, client.ended]), [0, 0], client.output());
    },
  ],
  [
    'a queue pair that cannot be moved is reported with its type and owner',
    async () => {
      const of = { netns: netns(A), device: 'rxea' };
      const server = perftest(A, '-d', 'rxea', '-c', 'UC');
      await until(async () => isListening());
      const client = perftest(B, '-d', 'rxeb', '-c', 'UC', '10.123.0.1');
      const unreliable = async () =>
        (await addon.rxeObjects(of)).find((one) => one.kind === 'qp' && one.type === 'UC');
      await until(async () => (await unreliable()) !== undefined);
      const found = await unreliable();
      assert.ok(found?.owner && found.handle !== undefined);
      assert.equal(found.peer, undefined, 'nobody repeats to it');
      const open = await addon.rxeContexts({ ...of, pid: found.owner });
      assert.deepEqual(
        open.map(({ context }) => context),
        [found.context],
      );
      for (const { child, ended } of [client, server]) {
        child.kill();
        await ended;
      }
    },
  ],
  [
    'deleting',
    async () => {
      await addon.rdmaLinkDelete({ netns: netns(A), name: 'rxea' });
      assert.deepEqual(await addon.rdmaDevices(netns(A)), []);
      const again = addon.rdmaLinkDelete({ netns: netns(A), name: 'rxea' });
      assert.equal(await code(again), 'NoSuchDevice');
      await addon.rdmaLinkDelete({ netns: netns(B), name: 'rxeb' });
    },
  ],
  ['a macvlan is hidden from its siblings and shown again', macvlanCase],
  [
    'modules',
    async () => {
      assert.ok(addon.moduleLoaded('rdma-rxe'));
      assert.equal(await code(addon.deleteModule('no_such_module')), 'ENOENT');
      assert.equal(await code(addon.deleteModule('ib_core')), 'EAGAIN');
      assert.equal(await code(addon.finitModule('/dev/null')), 'EINVAL');
    },
  ],
];

async function main(): Promise<number> {
  if (process.getuid?.() !== 0 || !addon.moduleLoaded('rdma-rxe')) {
    console.log('skipped: addon with a driver: needs root and rdma_rxe in this kernel');
    return 0;
  }
  let passed = 0;
  let failed = 0;
  tearDown();
  build();
  for (const [name, run] of cases) {
    try {
      await run();
      passed++;
    } catch (error) {
      failed++;
      console.error(`FAILED ${name}\n${error instanceof Error ? error.stack : String(error)}`);
    }
  }
  tearDown();
  console.log(`${passed} passed, ${failed} failed`);
  return failed ? 1 : 0;
}

process.exitCode = await main();
