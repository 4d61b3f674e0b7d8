// SPDX-License-Identifier: Apache-2.0
// The lab (e2e/lab): nodes w1 and w2 are VMs with kernels of their own, w3 is a machine outside the cluster.
import { readFile } from 'node:fs/promises';
import { run, top } from '../command.ts';
import { abilities, type Ability, type OutsidePeer, type Provider } from './provider.ts';

const script = `${top}/e2e/lab/lab.sh`;
const API_SERVER = '10.77.0.1';

/** `w2` to `2`, by which lab.sh knows it. @throws Error for a name of no node of the lab */
function numberOf(node: string): string {
  const number = /^w(\d)$/.exec(node)?.[1];
  if (number === undefined) throw new Error(`The lab has no node ${node}: its nodes are w1, w2.`);
  return number;
}

/** @param dir what the lab has made, `build/lab` */
export function lab(dir: string): Provider {
  const command = async (args: readonly string[], timeoutMs = 120_000): Promise<void> => {
    await run(script, args, { timeoutMs });
  };
  return {
    name: 'lab',
    tools: {
      kubectl: `${dir}/bin/kubectl`,
      helm: `${dir}/bin/helm`,
      kubeconfig: `${dir}/kubeconfig`,
    },
    abilities: new Set((Object.keys(abilities) as Ability[]).filter((one) => one !== 'services')),
    why: { services: 'its nodes have no kube-proxy' },
    slowness: 1,
    moveTimeouts: {},
    chartValues: {},
    runOnNode: (node, line, timeoutMs) => run(script, ['ssh', numberOf(node), line], { timeoutMs }),
    async unpack(node, archive, directory) {
      const copy = `'${script}' ssh ${numberOf(node)} tar -xz -C ${directory} <'${archive}'`;
      await run('bash', ['-c', copy]);
    },
    loadImage: (archive, nodes) => command(['load', archive, ...nodes.map(numberOf)], 600_000),
    setCable: (node, cable, state) => command(['link', numberOf(node), cable, state]),
    console: (node) => readFile(`${dir}/run/w${numberOf(node)}.console`, 'utf8'),
    reset: (node) => command(['reset', numberOf(node)]),
    controlPlane: (part, action) => command(['part', action, part]),
    async startOutsidePeer(): Promise<OutsidePeer> {
      await command(['peer'], 600_000);
      return { name: 'w3', address: '10.99.255.13', netdev: 'eth1' };
    },
    addressOf: (who) =>
      Promise.resolve(who === 'api-server' ? API_SERVER : `10.77.0.1${numberOf(who.node)}`),
    versions: () => Promise.resolve({}),
  };
}
