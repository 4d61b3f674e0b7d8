// SPDX-License-Identifier: Apache-2.0
// A kind cluster (e2e/kind): its nodes are containers on one kernel, either this machine's or that of a VM.
import { readFileSync } from 'node:fs';
import { run, top } from '../command.ts';
import { UnableError, type Ability, type Provider } from './provider.ts';

const script = `${top}/e2e/kind/kind.sh`;

/** In the VM the control plane is emulated, too, and shares two CPUs with all nodes. */
const slow = {
  slowness: 3,
  moveTimeouts: {
    ...{ prepareSeconds: 900, blackoutSeconds: 110, holdSeconds: 110, freezeSeconds: 110 },
    ...{ dumpSeconds: 110, transferSeconds: 110, restoreSeconds: 110 },
  },
};

/** `kind.sh` notes where Docker runs the nodes. */
const isInVm = (dir: string): boolean => (textOf(`${dir}/engine`) ?? '').trim() === 'vm';

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** The chart's default. */
const UNINSTALL_SECONDS = 240;

const own: readonly Ability[] = [
  'shell',
  'images',
  'chart',
  'cables',
  'reset',
  'control-plane',
  'services',
];

/** @param dir what kind-up has made, `build/kind` */
export function kind(dir: string): Provider {
  const speed = isInVm(dir) ? slow : { slowness: 1, moveTimeouts: {} };
  const command = (
    args: readonly string[],
    timeoutMs = 120_000 * speed.slowness,
  ): Promise<string> => run(script, args, { timeoutMs });
  const provider: Provider = {
    name: 'kind',
    tools: {
      kubectl: `${dir}/bin/kubectl`,
      helm: `${dir}/bin/helm`,
      kubeconfig: `${dir}/kubeconfig`,
    },
    abilities: new Set(own),
    why: {
      'own-kernel': 'all nodes of a kind cluster share one kernel',
      'outside-peer': "the one kernel has Sealift's driver, not the distribution's",
    },
    ...speed,
    chartValues: {
      agent: {
        // No pod of the cases is on the control plane's node.
        tolerations: [],
        uninstallSeconds: UNINSTALL_SECONDS * speed.slowness,
      },
    },
    runOnNode: (node, line, timeoutMs) => command(['exec', node, line], timeoutMs),
    async unpack(node, archive, directory) {
      const line = `'${script}' exec ${node} 'tar -xz -C ${directory}' <'${archive}'`;
      await run('bash', ['-c', line], { timeoutMs: 120_000 * speed.slowness });
    },
    async loadImage(archive, nodes) {
      await command(['load', archive, ...nodes], 900_000 * speed.slowness);
    },
    async setCable(node, cable, state) {
      await command(['link', node, cable, state]);
    },
    async reset(node) {
      await command(['reset', node]);
    },
    async controlPlane(part, action) {
      await command(['part', action, part]);
    },
    startOutsidePeer: () => Promise.reject(new UnableError(provider, 'outside-peer')),
    addressOf: async (who) =>
      (await command(['address', who === 'api-server' ? who : who.node])).trim(),
    async versions() {
      return { kind: (await command(['version'])).trim() };
    },
  };
  return provider;
}
