// SPDX-License-Identifier: Apache-2.0
// `drain`: cordons a node and moves every pod of Sealift's away from it. What is left is for `kubectl drain`.
import { RUNTIME_CLASS } from '../../../crds/src/index.ts';
import { nodes, pods, type Pod } from '../../../kube/src/index.ts';
import { outputOption, waitOptions, type Command, type Invocation } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { find } from '../workloads.ts';
import { explainPods } from './explain.ts';
import { migratePods } from './migrate.ts';

export const drain: Command = {
  name: 'drain',
  summary: "Cordon a node and move every pod of Sealift's away from it.",
  details:
    'It waits for the end of all moves. A pod that cannot be moved stays, and the exit code is 1. Pods that do not run in ' +
    "Sealift's runtime stay too: kubectl drain evicts them. Undo it with kubectl uncordon.",
  args: [{ name: 'NODE', names: 'node' }],
  options: {
    'dry-run': { type: 'boolean', help: 'Only say which pods can be moved. Nothing is changed.' },
    timeout: waitOptions.timeout,
    output: outputOption,
  },
  run: async (invocation) => {
    const { args, values, output, cluster, signal } = invocation;
    const { api } = cluster();
    const name = args[0] ?? '';
    const node = await find(api, nodes, '', name, signal);
    const isDryRun = values['dry-run'] === true;
    if (!isDryRun && !node.spec.unschedulable) {
      await api.merge(nodes, '', name, { spec: { unschedulable: true } }, { signal });
      output.note(`node/${name} cordoned`);
    }
    const { own, others } = await podsOn(invocation, name);
    if (others.length > 0) {
      output.note(
        `${others.length} pods of node ${name} do not run in Sealift's runtime and stay: ${listed(others)}. Evict them with kubectl drain.`,
      );
    }
    if (own.length === 0) {
      output.note(`Node ${name} has no running pod of Sealift's.`);
      return exitCodes.ok;
    }
    if (isDryRun) return explainPods(invocation, own);
    return migratePods({ ...invocation, values: { ...values, wait: true } }, own);
  },
};

async function podsOn(
  { cluster, signal }: Invocation,
  node: string,
): Promise<{ own: Pod[]; others: Pod[] }> {
  const fieldSelector = `spec.nodeName=${node}`;
  const { items } = await cluster().api.list(pods, { fieldSelector, signal });
  const here = items
    .map((item) => pods.parse(item))
    .filter(({ status }) => status.phase !== 'Succeeded' && status.phase !== 'Failed');
  const isOwn = ({ spec }: Pod): boolean => spec.runtimeClassName === RUNTIME_CLASS;
  return { own: here.filter(isOwn), others: here.filter((one) => !isOwn(one)) };
}

const listed = (some: readonly Pod[]): string => {
  const names = some.slice(0, 5).map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
  return names.join(', ') + (some.length > names.length ? ', ...' : '');
};
