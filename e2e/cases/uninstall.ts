// SPDX-License-Identifier: Apache-2.0
// helm uninstall takes everything off the nodes and out of the cluster's API again.
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { expectUntouched } from '../src/checks.ts';
import { kubectlJson } from '../src/cluster.ts';
import {
  currentStates,
  differences,
  isExpected,
  recordedStates,
  recordStates,
  type States,
} from '../src/node-state.ts';
import { IDLE, startPod } from '../src/pods.ts';
import { installSealift, uninstallSealift } from '../src/sealift.ts';
import { until } from '../src/wait.ts';
import { RUNTIME_CLASS } from '../../crds/src/index.ts';

/** A node refuses while a container of it runs with Sealift's runtime. Earlier cases' pods may still be ending. */
async function waitUntilUnused(): Promise<void> {
  await until('no pod has the runtime class', { within: 180, every: 3 }, async () => {
    const { items } = (await kubectlJson('get', 'pods', '-A')) as {
      items: { metadata: { name: string }; spec: { runtimeClassName?: string } }[];
    };
    const left = items.filter(({ spec }) => spec.runtimeClassName === RUNTIME_CLASS);
    if (left.length === 0) return true;
    throw new Error(left.map(({ metadata }) => metadata.name).join(', '));
  });
}

/** Differences that nobody expects, with the node's name; all of them go to the log. */
function unexpected(before: States, after: States, log: CaseContext['log']): string[] {
  const found: string[] = [];
  const compare = (
    where: string,
    of: readonly string[] | undefined,
    now: readonly string[],
  ): void => {
    for (const difference of differences(of ?? [], now)) {
      const note = isExpected(difference) ? ' (expected)' : '';
      log(`  ${where}: ${difference}${note}`);
      if (!note) found.push(`${where}: ${difference}`);
    }
  };
  for (const [node, state] of after.nodes) compare(node, before.nodes.get(node), state);
  compare('cluster', before.cluster, after.cluster);
  return found;
}

async function uninstall(context: CaseContext): Promise<void> {
  const { namespace, nodes, log } = context;
  const before = await recordedStates(nodes);
  const installed = await currentStates(nodes);
  for (const node of nodes) {
    const changed = differences(before.nodes.get(node) ?? [], installed.nodes.get(node) ?? []);
    log(`  ${node} with Sealift: ${changed.length} differences`);
    // Else the comparison would not see what Sealift changes.
    for (const sign of [' digest ', ' file ', ' run '])
      expect(
        changed.some((one) => one.includes(sign) && one.includes('sealift')),
        `the state of ${node} shows nothing of Sealift under "${sign.trim()}"`,
      );
  }
  const neighbour = await startPod({
    ...{ namespace, name: 'neighbour', node: nodes[0], command: IDLE },
    runtimeClass: null,
  });
  try {
    await waitUntilUnused();
    await uninstallSealift(log);
    const found = unexpected(before, await currentStates(nodes), log);
    expect(found.length === 0, `${found.length} things stay, first ${found[0] ?? ''}`);
    await expectUntouched(namespace, neighbour);
  } finally {
    // The cases after this one need it.
    await installSealift(log);
  }
}

export const cases: readonly Case[] = [
  {
    name: 'uninstall-leaves-nothing',
    promise:
      'After helm uninstall the nodes have the files, the runtime configuration, the rules, the devices and the driver that they ' +
      'had before the install, and the API has the same objects. A pod without Sealift runs through it.',
    needs: ['shell', 'chart'],
    beforeInstall: recordStates,
    run: uninstall,
  },
];
