// SPDX-License-Identifier: Apache-2.0
// The CNI plugin around the cluster's own network: which plugins run, whose result is printed, and what is undone.
import assert from 'node:assert/strict';
import { chmodSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bench, type Case, type Ended } from './harness.ts';

const CONF = { cniVersion: '1.0.0', name: 'sealift-pods', type: 'sealift', podNetwork: true };
/** The agent's reply to `before`. */
const NETWORK = {
  ok: true,
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [{ type: 'macvlan', bridge: 'cni0' }, { type: 'second' }],
};
const OK = { ok: true };
const KEPT = { cniVersion: '1.0.0', ips: [{ address: '10.88.1.5/32', gateway: '10.88.2.1' }] };
const NO = { ok: false, code: 'PodNotFound', message: 'no such pod' };

/** Notes its name, and hands on what came before it with a mark. */
const SECOND = `#!/bin/sh
printf 'second %s\\n' "$CNI_COMMAND" >> "$RECORD/plugin.commands"
cat > "$RECORD/second.$CNI_COMMAND.conf"
[ -n "$BLOCK" ] && [ "$CNI_COMMAND" = ADD ] && mkdir "$BLOCK"
[ -n "$LINK" ] && [ "$CNI_COMMAND" = ADD ] && ln "$SEALIFT_CNI_STATE/sand1-eth0.json" "$LINK"
[ -n "$SECOND_FAILS" ] && [ "$CNI_COMMAND" = ADD ] && { printf '{"code":7,"msg":"no"}'; exit 1; }
[ "$CNI_COMMAND" = ADD ] && printf '{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.9/24"}],"second":true}'
exit 0
`;

function cni(bench: Bench, command: string, env: Record<string, string> = {}): Promise<Ended> {
  const second = join(bench.dir, 'cni/second');
  writeFileSync(second, SECOND);
  chmodSync(second, 0o755);
  const environment = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: 'sand1',
    CNI_NETNS: '/var/run/netns/x',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: 'K8S_POD_NAMESPACE=team;K8S_POD_NAME=pod-0;K8S_POD_UID=uid-1',
    SEALIFT_CNI_STATE: join(bench.dir, 'state'),
  };
  return bench.run('sealift', [], { ...environment, ...env }, JSON.stringify(CONF));
}

const commands = (bench: Bench) => bench.read('plugin.commands')?.trim().split('\n');
const conf = (bench: Bench, name: string) =>
  JSON.parse(bench.read(name) ?? 'null') as Record<string, unknown>;
const states = (bench: Bench) => (bench.has('state') ? readdirSync(join(bench.dir, 'state')) : []);

export const podCases: Case[] = [
  [
    'cni pod: ADD runs the plugins that the agent names, and prints what the agent says',
    async (bench) => {
      await bench.listen(NETWORK, { ...OK, result: KEPT });
      const ended = await cni(bench, 'ADD');
      assert.equal(ended.status, 0, ended.stdout);
      assert.deepEqual(JSON.parse(ended.stdout), KEPT);
      assert.deepEqual(commands(bench), ['ADD', 'second ADD']);
      const first = { type: 'macvlan', bridge: 'cni0', name: 'pods', cniVersion: '1.0.0' };
      assert.deepEqual(bench.pluginConf('ADD'), { ...first, runtimeConfig: {} });
      const result = { cniVersion: '1.0.0', ips: [{ address: '10.0.0.9/24' }] };
      assert.deepEqual(conf(bench, 'second.ADD.conf')['prevResult'], result);
      const [before, after] = bench.requests;
      assert.deepEqual([before?.['phase'], before?.['network']], ['before', 'pod']);
      assert.deepEqual(after?.['result'], { ...result, second: true });
      assert.deepEqual(states(bench), ['sand1-eth0.json']);
    },
  ],
  [
    'cni pod: without another result ADD prints the last plugin’s',
    async (bench) => {
      await bench.listen(NETWORK, OK);
      const ended = await cni(bench, 'ADD');
      assert.equal((JSON.parse(ended.stdout) as { second: boolean }).second, true);
    },
  ],
  [
    'cni pod: DEL runs them in reverse, without an agent, and forgets; again it does nothing',
    async (bench) => {
      await bench.listen(NETWORK, OK);
      await cni(bench, 'ADD');
      await bench.crash();
      assert.equal((await cni(bench, 'DEL')).status, 0);
      assert.deepEqual(commands(bench), ['ADD', 'second ADD', 'second DEL', 'DEL']);
      assert.ok(conf(bench, 'plugin.DEL.conf')['prevResult']);
      assert.ok(!bench.has('state'));
      assert.equal((await cni(bench, 'DEL')).status, 0);
      assert.equal(commands(bench)?.length, 4);
    },
  ],
  [
    'cni pod: the file for DEL is replaced as a whole, and what a crash has left of a new one goes with it',
    async (bench) => {
      await bench.listen(NETWORK, OK);
      const before = join(bench.dir, 'before.json');
      assert.equal((await cni(bench, 'ADD', { LINK: before })).status, 0);
      assert.ok(!('result' in conf(bench, 'before.json')));
      assert.ok('result' in conf(bench, 'state/sand1-eth0.json'));
      assert.deepEqual(states(bench), ['sand1-eth0.json']);
      writeFileSync(join(bench.dir, 'state/sand1-eth0.json.new'), '{"plu');
      assert.equal((await cni(bench, 'DEL')).status, 0);
      assert.ok(!bench.has('state'));
    },
  ],
  [
    'cni pod: an ADD that cannot write its file undoes what it has done, by the former one',
    async (bench) => {
      await bench.listen(NETWORK, OK);
      const blocked = join(bench.dir, 'state/sand1-eth0.json.new');
      const ended = await cni(bench, 'ADD', { BLOCK: blocked });
      assert.equal(ended.status, 1);
      assert.match(ended.stdout, /StateFailed.*sand1-eth0/);
      assert.deepEqual(commands(bench), ['ADD', 'second ADD', 'second DEL', 'DEL']);
    },
  ],
  [
    'cni pod: a plugin that fails, and an agent that refuses, leave nothing',
    async (bench) => {
      await bench.listen(NETWORK, NO);
      const failed = await cni(bench, 'ADD', { SECOND_FAILS: '1' });
      assert.equal(failed.status, 1);
      assert.match(failed.stdout, /DelegateFailed/);
      assert.deepEqual(commands(bench), ['ADD', 'second ADD', 'second DEL', 'DEL']);
      assert.deepEqual(bench.requests.length, 1);
      assert.ok(!bench.has('state'));
    },
  ],
  [
    'cni pod: an agent that refuses the address undoes the plugins',
    async (bench) => {
      await bench.listen(NETWORK, NO);
      const refused = await cni(bench, 'ADD');
      assert.equal(refused.status, 1);
      assert.match(refused.stdout, /PodNotFound/);
      assert.deepEqual(commands(bench), ['ADD', 'second ADD', 'second DEL', 'DEL']);
      assert.ok(!bench.has('state'));
    },
  ],
  [
    'cni pod: an agent that names no plugin, or none of another kind, runs nothing',
    async (bench) => {
      await bench.listen({ ...NETWORK, plugins: [] }, { ...NETWORK, plugins: [{ type: '../x' }] });
      assert.match((await cni(bench, 'ADD')).stdout, /BadConfiguration/);
      assert.match((await cni(bench, 'ADD')).stdout, /BadConfiguration/);
      assert.equal(commands(bench), undefined);
      assert.ok(!bench.has('state'));
    },
  ],
];
