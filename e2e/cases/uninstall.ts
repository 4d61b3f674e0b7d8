// SPDX-License-Identifier: Apache-2.0
// helm uninstall takes everything off the nodes and out of the cluster's API again.
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { expectUntouched } from '../src/checks.ts';
import { kubectl, kubectlJson } from '../src/cluster.ts';
import {
  currentStates,
  differences,
  isExpected,
  recordedStates,
  recordStates,
  type States,
} from '../src/node-state.ts';
import { IDLE, startPod } from '../src/pods.ts';
import {
  checkpoint,
  createRequest,
  migration,
  readRequest,
  waitUntilEnded,
} from '../src/requests.ts';
import { installSealift, uninstallSealift } from '../src/sealift.ts';
import { until } from '../src/wait.ts';
import { finalizers, RUNTIME_CLASS } from '../../crds/src/index.ts';

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

/**
 * Requests that have finished and stay: of a pod that is not there. A checkpoint's keeps its finalizer to the end.
 * @returns their names, as kubectl has them
 */
async function leaveRequests({ namespace, log }: CaseContext): Promise<string[]> {
  const spec = { podName: 'nobody' };
  await createRequest(migration, namespace, 'left-move', spec);
  await createRequest(checkpoint, namespace, 'left-checkpoint', spec);
  await waitUntilEnded(migration, { namespace, name: 'left-move' }, log);
  await waitUntilEnded(checkpoint, { namespace, name: 'left-checkpoint' }, log);
  const { metadata } = (await readRequest(checkpoint, namespace, 'left-checkpoint')) ?? {};
  // Else the case would see nothing of what takes it away.
  expect(metadata?.finalizers.includes(finalizers.images), 'the checkpoint has no finalizer');
  return ['migrationrequest/left-move', 'checkpointrequest/left-checkpoint'];
}

/** Nobody of Sealift's runs any more: what had a finalizer now would stay for ever, with its namespace. */
async function expectDeletable(namespace: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const { metadata } = (await kubectlJson('-n', namespace, 'get', name)) as {
      metadata: { finalizers?: string[] };
    };
    const kept = metadata.finalizers ?? [];
    expect(kept.length === 0, `${name} is kept by ${kept.join(', ')}`);
    await kubectl('-n', namespace, 'delete', name, '--timeout=30s');
  }
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
  const left = await leaveRequests(context);
  await thenInstall(log, async () => {
    await waitUntilUnused();
    await uninstallSealift(log);
    await expectDeletable(namespace, left);
    const found = unexpected(before, await currentStates(nodes), log);
    expect(found.length === 0, `${found.length} things stay, first ${found[0] ?? ''}`);
    await expectUntouched(namespace, neighbour);
  });
}

/** The cases after this one need Sealift. @throws Error of the work first, with that of the install, if it fails too */
async function thenInstall(log: CaseContext['log'], work: () => Promise<void>): Promise<void> {
  const [worked] = await Promise.allSettled([work()]);
  const [installed] = await Promise.allSettled([installSealift(log)]);
  if (worked.status === 'rejected') {
    if (installed.status === 'rejected')
      log(`  and Sealift could not be installed again: ${String(installed.reason)}`);
    throw worked.reason;
  }
  if (installed.status === 'rejected') throw installed.reason;
}

export const cases: readonly Case[] = [
  {
    name: 'uninstall-leaves-nothing',
    promise:
      'After helm uninstall the nodes have the files, the runtime configuration, the rules, the devices and the driver that they ' +
      'had before the install, and the API has the same objects; requests that stay can be deleted. A pod without Sealift runs through it.',
    needs: ['shell', 'chart'],
    beforeInstall: recordStates,
    run: uninstall,
  },
];
