// SPDX-License-Identifier: Apache-2.0
// The CNI plugin: what the agent is asked, what the wrapped plugin gets, what is undone on failure.
import assert from 'node:assert/strict';
import { type Bench, type Case, type Ended } from './harness.ts';

const CONF = {
  cniVersion: '1.0.0',
  name: 'fabric',
  type: 'sealift',
  capabilities: { ips: true, mac: true },
  delegate: {
    type: 'macvlan',
    master: 'eth1',
    ipam: {
      type: 'host-local',
      subnet: '10.0.0.0/24',
      routes: [{ dst: '10.9.0.0/16' }],
      // In the bench's own directory, where the plugins run.
      dataDir: 'records',
    },
  },
  prevResult: { ips: [] },
};
const OK = { ok: true };
const NO = { ok: false, code: 'DriverMissing', message: 'load rdma_rxe' };

function environment(command: string): Record<string, string> {
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: 'sand1',
    CNI_NETNS: '/var/run/netns/x',
    CNI_IFNAME: 'net1',
    CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=team;K8S_POD_NAME=pod-0;K8S_POD_UID=uid-1',
  };
}

function cni(
  bench: Bench,
  command: string,
  conf: object | string = CONF,
  env: Record<string, string> = {},
): Promise<Ended> {
  const input = typeof conf === 'string' ? conf : JSON.stringify(conf);
  return bench.run('sealift', [], { ...environment(command), ...env }, input);
}

function errorOf(ended: Ended): { code: number; msg: string; details: string } {
  assert.equal(ended.status, 1, ended.stdout);
  const error = JSON.parse(ended.stdout) as { code: number; msg: string; details: string };
  assert.ok('cniVersion' in error);
  return error;
}

const phases = (bench: Bench) => bench.requests.map((request) => request['phase']);
const commands = (bench: Bench) => bench.read('plugin.commands')?.trim().split('\n');

export const cniCases: Case[] = [
  [
    'cni: ADD asks before and after, and prints the plugin’s result',
    async (bench) => {
      await bench.listen(OK);
      const ended = await cni(bench, 'ADD');
      assert.equal(ended.status, 0, ended.stderr + ended.stdout);
      assert.deepEqual(JSON.parse(ended.stdout), {
        cniVersion: '1.0.0',
        ips: [{ address: '10.0.0.9/24' }],
      });
      const common = {
        op: 'cni',
        containerId: 'sand1',
        netns: '/var/run/netns/x',
        ifname: 'net1',
        namespace: 'team',
        pod: 'pod-0',
        podUid: 'uid-1',
      };
      assert.deepEqual(bench.requests, [
        { ...common, phase: 'before' },
        { ...common, phase: 'after' },
      ]);
      assert.deepEqual(bench.pluginConf('ADD'), {
        ...CONF.delegate,
        name: 'fabric',
        cniVersion: '1.0.0',
        runtimeConfig: {},
      });
    },
  ],
  [
    'cni: given addresses reach the plugin, and replace its own choice',
    async (bench) => {
      await bench.listen(OK);
      const runtimeConfig = { ips: ['10.0.0.77/24'], mac: '02:00:00:00:00:07' };
      assert.equal((await cni(bench, 'ADD', { ...CONF, runtimeConfig })).status, 0);
      const conf = bench.pluginConf('ADD');
      assert.deepEqual(conf?.['runtimeConfig'], runtimeConfig);
      assert.deepEqual(conf?.['ipam'], { type: 'static', routes: [{ dst: '10.9.0.0/16' }] });
    },
  ],
  [
    'cni: the agent’s wish comes before runtimeConfig',
    async (bench) => {
      await bench.listen({ ok: true, ips: ['10.0.0.5/24'], mac: '02:00:00:00:00:05' }, OK);
      const runtimeConfig = { ips: ['10.0.0.77/24'], bandwidth: {} };
      assert.equal((await cni(bench, 'ADD', { ...CONF, runtimeConfig })).status, 0);
      assert.deepEqual(bench.pluginConf('ADD')?.['runtimeConfig'], {
        ips: ['10.0.0.5/24'],
        mac: '02:00:00:00:00:05',
        bandwidth: {},
      });
    },
  ],
  [
    'cni: an interface that is to be hidden is made so, and the agent is informed',
    async (bench) => {
      const modes: [before: object, after: object, hidden: boolean][] = [
        [{}, { mode: 'vepa' }, true],
        [{ mode: 'bridge' }, { mode: 'vepa' }, true],
        [{ mode: '' }, { mode: 'vepa' }, true],
        [{ mode: 'private' }, { mode: 'private' }, false],
        [{ mode: 7 }, { mode: 7 }, false],
      ];
      await bench.listen({ ok: true, hide: true });
      for (const [before, after, hidden] of modes) {
        bench.requests.length = 0;
        const conf = { ...CONF, delegate: { ...CONF.delegate, ...before } };
        assert.equal((await cni(bench, 'ADD', conf)).status, 0);
        const { type, mode } = bench.pluginConf('ADD') ?? {};
        assert.deepEqual({ type, mode }, { type: 'macvlan', ...after });
        assert.equal(bench.requests[0]?.['hidden'], undefined);
        assert.equal(bench.requests[1]?.['hidden'], hidden ? true : undefined);
      }
    },
  ],
  [
    'cni: runtimeConfig is cut to the delegate’s capabilities',
    async (bench) => {
      await bench.listen(OK);
      const conf = {
        ...CONF,
        delegate: { ...CONF.delegate, capabilities: { mac: true, ips: false } },
        runtimeConfig: { ips: ['10.0.0.77/24'], mac: '02:00:00:00:00:07' },
      };
      assert.equal((await cni(bench, 'ADD', conf)).status, 0);
      assert.deepEqual(bench.pluginConf('ADD')?.['runtimeConfig'], { mac: '02:00:00:00:00:07' });
      assert.deepEqual(bench.pluginConf('ADD')?.['ipam'], CONF.delegate.ipam);
    },
  ],
  [
    'cni: refused before: the plugin never runs',
    async (bench) => {
      await bench.listen(NO);
      const error = errorOf(await cni(bench, 'ADD'));
      assert.deepEqual(
        [error.code, error.msg, error.details],
        [100, 'sealift: DriverMissing', 'load rdma_rxe'],
      );
      assert.equal(commands(bench), undefined);
    },
  ],
  [
    'cni: refused after: the plugin is undone',
    async (bench) => {
      await bench.listen(OK, NO, OK);
      const error = errorOf(await cni(bench, 'ADD'));
      assert.equal(error.code, 100);
      assert.deepEqual(commands(bench), ['ADD', 'DEL']);
      assert.deepEqual(phases(bench), ['before', 'after', 'del']);
    },
  ],
  [
    'cni: the plugin fails: its own error is printed, the agent is informed',
    async (bench) => {
      await bench.listen(OK);
      const ended = await cni(bench, 'ADD', CONF, { PLUGIN_FAILS: '1' });
      assert.equal(ended.status, 1);
      assert.deepEqual(JSON.parse(ended.stdout), { code: 7, msg: 'no master', details: '' });
      assert.deepEqual(phases(bench), ['before', 'del']);
      assert.deepEqual(commands(bench), ['ADD', 'DEL']);
    },
  ],
  [
    'cni: the plugin is killed, or floods',
    async (bench) => {
      await bench.listen(OK);
      const killed = errorOf(await cni(bench, 'ADD', CONF, { PLUGIN_DIES: '1' }));
      assert.match(killed.details, /macvlan was killed/);
      const flood = errorOf(await cni(bench, 'ADD', CONF, { PLUGIN_FLOODS: '1' }));
      assert.match(flood.msg, /DelegateFailed/);
    },
  ],
  [
    'cni: no agent: try again later',
    async (bench) => {
      const error = errorOf(await cni(bench, 'ADD', CONF, { SEALIFT_LIMIT_MS: '300' }));
      assert.equal(error.code, 11);
      assert.equal(commands(bench), undefined);
    },
  ],
  [
    'cni: DEL works without an agent and without a namespace',
    async (bench) => {
      const env = { SEALIFT_LIMIT_MS: '300', CNI_NETNS: '' };
      const ended = await cni(bench, 'DEL', CONF, env);
      assert.equal(ended.status, 0, ended.stdout);
      assert.deepEqual(commands(bench), ['DEL']);
      assert.deepEqual(bench.pluginConf('DEL')?.['prevResult'], CONF.prevResult);
      await bench.listen(OK);
      assert.equal((await cni(bench, 'DEL', CONF, env)).status, 0);
      assert.deepEqual(phases(bench), ['del']);
    },
  ],
  [
    'cni: CHECK and GC go to the plugin, the agent is not asked',
    async (bench) => {
      await bench.listen(OK);
      for (const command of ['CHECK', 'GC']) assert.equal((await cni(bench, command)).status, 0);
      assert.deepEqual(commands(bench), ['CHECK', 'GC']);
      assert.equal(bench.connections, 0);
    },
  ],
  [
    'cni: VERSION and STATUS',
    async (bench) => {
      const version = await cni(bench, 'VERSION');
      assert.equal(version.status, 0);
      const said = JSON.parse(version.stdout) as { supportedVersions: string[] };
      assert.ok(said.supportedVersions.includes('1.0.0'));
      assert.equal(errorOf(await cni(bench, 'STATUS')).code, 50);
      await bench.listen(OK);
      assert.equal((await cni(bench, 'STATUS')).status, 0);
    },
  ],
  [
    'cni: bad input is refused before anyone is asked',
    async (bench) => {
      await bench.listen(OK);
      const bare = { ...CONF, delegate: undefined };
      const confs: (object | string)[] = [
        '',
        '[]',
        '{"name":',
        bare,
        { ...CONF, delegate: { type: '../../bin/sh' } },
        { ...CONF, delegate: { type: 'sealift' } },
        { ...CONF, delegate: [] },
      ];
      for (const conf of confs) assert.equal(errorOf(await cni(bench, 'ADD', conf)).code, 7);
      for (const name of ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'])
        assert.equal(errorOf(await cni(bench, 'ADD', CONF, { [name]: '' })).code, 4);
      assert.equal(errorOf(await cni(bench, 'FROB')).code, 4);
      assert.equal(bench.connections, 0);
      const missing = { ...CONF, delegate: { type: 'absent' } };
      assert.match(errorOf(await cni(bench, 'ADD', missing)).details, /no plugin absent/);
    },
  ],
];
