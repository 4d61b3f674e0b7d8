// SPDX-License-Identifier: Apache-2.0
// Addresses that a pod asks for, and host-local's records of them: nobody else gets such an address while the pod has it.
// The IPAM plugins are the real ones where this machine or the lab's node has them, else two that keep the same records.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Bench, type Case, type Ended } from './harness.ts';

const OK = { ok: true };
const MOVED = { ok: true, moved: true };
const checkout = fileURLToPath(new URL('../../..', import.meta.url));
const real = [
  process.env['SEALIFT_CNI_PLUGINS'] ?? '',
  ...globSync(join(checkout, 'build/lab/cache/node-tree-*/usr/lib/cni')),
  '/opt/cni/bin',
].find((dir) => existsSync(join(dir, 'host-local')) && existsSync(join(dir, 'static')));

/** As plugins/ipam/host-local/backend/disk: a file for each address, its content is the sandbox and the interface. */
const FAKE_HOST_LOCAL = `#!${process.execPath}
const fs = require('node:fs');
const { name, ipam } = JSON.parse(fs.readFileSync(0, 'utf8'));
const dir = ipam.dataDir + '/' + name;
const own = process.env.CNI_CONTAINERID + '\\r\\n' + process.env.CNI_IFNAME;
fs.mkdirSync(dir, { recursive: true });
if (process.env.CNI_COMMAND === 'DEL') {
  for (const one of fs.readdirSync(dir))
    if (fs.readFileSync(dir + '/' + one, 'utf8').trim() === own) fs.rmSync(dir + '/' + one);
} else if (process.env.CNI_COMMAND === 'ADD') {
  for (let last = 2; last < 255; last++) {
    const address = ipam.subnet.replace(/0\\/.*/, String(last));
    try { fs.writeFileSync(dir + '/' + address, own, { flag: 'wx' }); } catch { continue; }
    console.log(JSON.stringify({ cniVersion: '1.0.0', ips: [{ address: address + '/24' }] }));
    process.exit(0);
  }
  process.exit(1);
}
`;
const FAKE_STATIC = `#!${process.execPath}
const { runtimeConfig } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
const ips = runtimeConfig.ips.map((address) => ({ address }));
if (process.env.CNI_COMMAND === 'ADD') console.log(JSON.stringify({ cniVersion: '1.0.0', ips }));
`;
/** Makes no interface; its addresses are IPAM's. */
const INTERFACE = `#!/bin/sh
conf=$(cat)
printf '%s\\n' "$CNI_COMMAND" >> "$RECORD/plugin.commands"
[ "$CNI_COMMAND" = ADD ] && [ -n "$PLUGIN_FAILS" ] && { printf '{"code":7,"msg":"no master"}'; exit 1; }
case $conf in *'"type":"host-local"'*) ipam=host-local;; *) ipam=static;; esac
printf '%s' "$conf" | "$RECORD/cni/$ipam"
`;

interface Setup {
  bench: Bench;
  dataDir: string;
  conf: Record<string, unknown>;
}

function prepare(bench: Bench, ipam: Record<string, unknown> = {}): Setup {
  const cniDir = join(bench.dir, 'cni');
  const install = (name: string, text: string): void => {
    rmSync(join(cniDir, name), { force: true });
    writeFileSync(join(cniDir, name), text);
    chmodSync(join(cniDir, name), 0o755);
  };
  install('macvlan', INTERFACE);
  for (const [name, text] of [
    ['host-local', FAKE_HOST_LOCAL],
    ['static', FAKE_STATIC],
  ] as const) {
    if (real === undefined) install(name, text);
    else symlinkSync(join(real, name), join(cniDir, name));
  }
  const dataDir = join(bench.dir, 'records');
  const conf = {
    ...{ cniVersion: '1.0.0', name: 'fabric', type: 'sealift' },
    capabilities: { ips: true, mac: true },
    delegate: {
      ...{ type: 'macvlan', master: 'eth1' },
      ipam: { type: 'host-local', subnet: '10.0.0.0/24', dataDir, ...ipam },
    },
  };
  return { bench, dataDir, conf };
}

function call(
  { bench, conf }: Setup,
  command: string,
  sandbox: string,
  ips?: readonly string[],
  env: Record<string, string> = {},
): Promise<Ended> {
  const environment = {
    ...{ CNI_COMMAND: command, CNI_CONTAINERID: sandbox, CNI_NETNS: '/var/run/netns/x' },
    ...{
      CNI_IFNAME: 'net1',
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=team;K8S_POD_NAME=${sandbox}`,
    },
    CNI_PATH: join(bench.dir, 'cni'),
  };
  const input = ips ? { ...conf, runtimeConfig: { ips } } : conf;
  return bench.run('sealift', [], { ...environment, ...env }, JSON.stringify(input));
}

async function add(setup: Setup, sandbox: string, ips?: readonly string[]): Promise<string> {
  const ended = await call(setup, 'ADD', sandbox, ips);
  assert.equal(ended.status, 0, ended.stdout + ended.stderr);
  const { ips: given } = JSON.parse(ended.stdout) as { ips: { address: string }[] };
  return given[0]?.address ?? '';
}

async function refused(setup: Setup, sandbox: string, ips: readonly string[]): Promise<string> {
  const ended = await call(setup, 'ADD', sandbox, ips);
  assert.equal(ended.status, 1, ended.stdout);
  const { msg, details } = JSON.parse(ended.stdout) as { msg: string; details: string };
  return `${msg} ${details}`;
}

const remove = async (setup: Setup, sandbox: string, ips?: readonly string[]): Promise<void> => {
  const ended = await call(setup, 'DEL', sandbox, ips);
  assert.equal(ended.status, 0, ended.stdout + ended.stderr);
};

const dirOf = ({ dataDir }: Setup): string => join(dataDir, 'fabric');
/** Addresses that are recorded, with the sandbox or the reservation. */
function records(setup: Setup): Record<string, string> {
  if (!existsSync(dirOf(setup))) return {};
  const names = readdirSync(dirOf(setup)).filter((one) => /^[0-9a-f.:]+$/.test(one));
  const text = (name: string) => readFileSync(join(dirOf(setup), name), 'utf8');
  return Object.fromEntries(names.map((name) => [name, text(name).split('\r\n')[0] ?? '']));
}
/** What the agent does before the source may move (node-agent/src/node/fabric-addresses). */
function reserve(setup: Setup, address: string): void {
  const path = join(dirOf(setup), address);
  writeFileSync(path, `sealift-fabric ${readFileSync(path, 'utf8')}`);
}

export const ipamCases: Case[] = [
  [
    'cni ipam: a moved pod’s address is given to nobody, though its source is deleted',
    async (bench) => {
      await bench.listen(OK);
      const source = prepare(bench);
      const address = await add(source, 'source');
      const bare = address.replace(/\/.*/, '');
      reserve(source, bare);
      // The other node has the same range.
      const target = { ...source, dataDir: join(bench.dir, 'other') };
      const { delegate } = source.conf as { delegate: { ipam: object } };
      const ipam = { ...delegate.ipam, dataDir: target.dataDir };
      target.conf = { ...source.conf, delegate: { ...delegate, ipam } };
      assert.equal(await add(target, 'target', [address]), address);
      await remove(source, 'source');
      assert.deepEqual(records(source), { [bare]: 'sealift-fabric source' });
      assert.deepEqual(records(target), { [bare]: 'target' });
      assert.notEqual(await add(source, 'third'), address);
      assert.notEqual(await add(target, 'fourth'), address);
      await remove(target, 'target', [address]);
      assert.equal(records(target)[bare], undefined);
    },
  ],
  [
    'cni ipam: an address that a pod has asked for is recorded until it is deleted',
    async (bench) => {
      await bench.listen(OK);
      const setup = prepare(bench);
      const first = await add(setup, 'probe');
      await remove(setup, 'probe');
      // The plugin goes on from the last one that it has given.
      const next = first.replace(/(\d+)\//, (_all, last: string) => `${Number(last) + 1}/`);
      assert.equal(await add(setup, 'asks', [next]), next);
      assert.notEqual(await add(setup, 'other'), next);
      assert.match(await refused(setup, 'again', [next]), /AddressInUse.*asks/);
      assert.equal(records(setup)[next.replace(/\/.*/, '')], 'asks');
      // The runtime may call a second time.
      assert.equal(await add(setup, 'asks', [next]), next);
      await remove(setup, 'asks', [next]);
      assert.deepEqual(Object.values(records(setup)), ['other']);
      assert.equal(await add(setup, 'again', [next]), next);
    },
  ],
  [
    'cni ipam: only a pod that has moved takes an address that is reserved, and leaves it so',
    async (bench) => {
      await bench.listen(OK, OK, OK, MOVED, OK);
      const setup = prepare(bench);
      const address = await add(setup, 'source');
      const bare = address.replace(/\/.*/, '');
      reserve(setup, bare);
      assert.match(await refused(setup, 'thief', [address]), /AddressInUse.*moved/);
      assert.equal(await add(setup, 'home', [address]), address);
      assert.deepEqual(records(setup), { [bare]: 'sealift-fabric source' });
      await remove(setup, 'home', [address]);
      assert.deepEqual(records(setup), { [bare]: 'sealift-fabric source' });
    },
  ],
  [
    'cni ipam: what fails leaves no record',
    async (bench) => {
      await bench.listen(OK, { ok: false, code: 'DriverMissing', message: 'x' }, OK);
      const setup = prepare(bench);
      const ips = ['10.0.0.9/24', 'fd00::A:0:0:1/64'];
      assert.match(await refused(setup, 'one', ips), /DriverMissing/);
      assert.deepEqual(records(setup), {});
      assert.equal((await call(setup, 'ADD', 'two', ips, { PLUGIN_FAILS: '1' })).status, 1);
      assert.deepEqual(records(setup), {});
      await add(setup, 'has', ['fd00::a:0:0:1/64']);
      assert.match(await refused(setup, 'late', ips), /AddressInUse.*fd00::a:0:0:1/);
      assert.deepEqual(records(setup), { 'fd00::a:0:0:1': 'has' });
      for (const bad of ['', '10.0.0', '/24', '../../x', 'x'.repeat(99)])
        assert.match(await refused(setup, 'bad', ['10.0.0.9/24', bad]), /BadConfiguration/);
      assert.deepEqual(records(setup), { 'fd00::a:0:0:1': 'has' });
    },
  ],
  [
    'cni ipam: one that cannot record an address is refused by name before anyone is asked',
    async (bench) => {
      await bench.listen(OK);
      const setup = prepare(bench, { type: 'whereabouts' });
      assert.match(await refused(setup, 'pod', ['10.0.0.9/24']), /UnsupportedIpam.*whereabouts/);
      assert.equal(bench.connections, 0);
      const dhcp = withIpam(setup, { type: 'dhcp' });
      assert.match(await refused(dhcp, 'pod', ['10.0.0.9/24']), /UnsupportedIpam.*dhcp/);
      const nameless = { ...withIpam(setup, { type: 'host-local' }) };
      nameless.conf = { ...nameless.conf, name: '../fabric' };
      assert.match(await refused(nameless, 'pod', ['10.0.0.9/24']), /BadConfiguration/);
      assert.equal(bench.connections, 0);
      const fixed = withIpam(setup, { type: 'static' });
      assert.equal(await add(fixed, 'pod', ['10.0.0.9/24']), '10.0.0.9/24');
      assert.deepEqual(records(fixed), {});
    },
  ],
  [
    'cni ipam: the agent finds where the node records addresses',
    async (bench) => {
      await bench.listen(OK);
      const setup = prepare(bench);
      const stores = () =>
        readdirSync(join(bench.dir, 'ipam')).map(
          (name) => JSON.parse(bench.read(`ipam/${name}`) ?? '') as Record<string, unknown>,
        );
      await add(setup, 'a');
      const { ipam } = (setup.conf as { delegate: { ipam: object } }).delegate;
      assert.deepEqual(stores(), [{ name: 'fabric', ipam }]);
      const wider = withIpam(setup, { subnet: '10.0.0.0/16' });
      await add(wider, 'b', ['10.0.7.7/16']);
      assert.deepEqual(stores(), [{ name: 'fabric', ipam: { ...ipam, subnet: '10.0.0.0/16' } }]);
      await add(withIpam(setup, { dataDir: join(bench.dir, 'more') }), 'c', ['10.0.0.7/24']);
      assert.equal(stores().length, 2);
    },
  ],
];

/** The same bench with another IPAM. */
function withIpam(setup: Setup, more: Record<string, unknown>): Setup {
  const { delegate } = setup.conf as { delegate: { ipam: object } };
  const ipam = { ...delegate.ipam, type: 'host-local', ...more };
  return { ...setup, conf: { ...setup.conf, delegate: { ...delegate, ipam } } };
}
