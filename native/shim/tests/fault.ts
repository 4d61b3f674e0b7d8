// SPDX-License-Identifier: Apache-2.0
// Fault points: armed by a file, tripped once; nothing happens without one.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bench, type Case, type Ended } from './harness.ts';

const CONF = {
  cniVersion: '1.0.0',
  name: 'fabric',
  type: 'sealift',
  delegate: { type: 'macvlan' },
};
const RESTORE = { ok: true, action: 'restore', imagePath: '/i', workPath: '/w' };

function arm(bench: Bench, point: string, action: string): () => boolean {
  mkdirSync(join(bench.dir, 'faults'), { recursive: true });
  writeFileSync(join(bench.dir, 'faults', point), action);
  return () => existsSync(join(bench.dir, 'faults', point));
}

function cni(bench: Bench, command: string): Promise<Ended> {
  const env = {
    ...{ CNI_COMMAND: command, CNI_CONTAINERID: 'sand1', CNI_NETNS: '/n', CNI_IFNAME: 'net1' },
    SEALIFT_FAULT_DIR: join(bench.dir, 'faults'),
  };
  return bench.run('sealift', [], env, JSON.stringify(CONF));
}

function create(bench: Bench): Promise<Ended> {
  bench.annotate({
    'io.kubernetes.cri.container-type': 'container',
    'io.kubernetes.cri.sandbox-id': 'box',
    'io.kubernetes.cri.sandbox-namespace': 'team',
    'io.kubernetes.cri.sandbox-name': 'pod-0',
    'io.kubernetes.cri.sandbox-uid': 'uid-1',
    'io.kubernetes.cri.container-name': 'main',
  });
  const env = { SEALIFT_FAULT_DIR: join(bench.dir, 'faults') };
  return bench.run('sealift-runc', ['--root', bench.root, 'create', '-b', bench.bundle, 'c1'], env);
}

/** Requests, commands of the plugin and calls of runc until the point. */
const done = (bench: Bench) => [
  bench.requests.map((request) => request['phase'] ?? request['op']),
  bench.read('plugin.commands')?.trim().split('\n') ?? [],
  bench.runcArgs()?.includes('restore') ?? false,
];

const points: [string, (bench: Bench) => Promise<Ended>, unknown[]][] = [
  ['shim.add.before', (bench) => cni(bench, 'ADD'), [['before'], [], false]],
  ['shim.add.after', (bench) => cni(bench, 'ADD'), [['before'], ['ADD'], false]],
  ['shim.del.before', (bench) => cni(bench, 'DEL'), [[], [], false]],
  ['shim.del.after', (bench) => cni(bench, 'DEL'), [['del'], ['DEL'], false]],
  ['shim.create.before', create, [[], [], false]],
  ['shim.create.after', create, [['create'], [], false]],
  ['shim.mark.before', create, [['create'], [], false]],
  ['shim.mark.after', create, [['create'], [], false]],
];

async function trips(bench: Bench, at: (typeof points)[number], action: string): Promise<void> {
  const [point, act, until] = at;
  await bench.listen(RESTORE);
  const armed = arm(bench, point, action);
  const ended = await act(bench);
  assert.deepEqual(done(bench), until);
  assert.equal(armed(), false);
  if (action === 'throw') assert.match(`${ended.status} ${ended.stderr}`, /^1 .*FaultInjected/);
  else assert.equal(ended.signal, 'SIGKILL');
  const marked = existsSync(join(bench.bundle, 'sealift-restored'));
  assert.equal(marked, point === 'shim.mark.after');
  const again = await act(bench);
  assert.equal(again.status, 0, again.stderr + again.stdout);
}

async function waits(bench: Bench): Promise<void> {
  await bench.listen(RESTORE);
  arm(bench, 'shim.create.before', 'delay:300\n');
  const ended = await create(bench);
  assert.ok(ended.ms > 290);
  assert.equal(ended.status, 0, ended.stderr);
  assert.equal(bench.runcArgs()?.includes('restore'), true);
}

export const faultCases: Case[] = [
  ...points.flatMap((at): Case[] => [
    [`fault: ${at[0]} crashes`, (bench) => trips(bench, at, 'crash')],
    [`fault: ${at[0]} fails`, (bench) => trips(bench, at, 'throw')],
  ]),
  ['fault: a delay', waits],
];
